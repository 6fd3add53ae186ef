import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Asking } from './asking.ts'

describe('a status asked while a probe attacks', () => {
  let child: ChildProcess
  beforeEach(() => {
    child = spawn('sleep', ['600'], { stdio: 'ignore' })
  })
  afterEach(() => {
    child.kill('SIGKILL')
  })

  /** Asks until `done` settles, and gives what counted. */
  async function times(status: () => Promise<unknown>, done: Promise<unknown>): Promise<number[]> {
    const all: number[] = []
    const asking = new Asking({ watched: { status, child } }, all)
    await done
    await asking.end()
    return all
  }

  /** A status that answers as `answer` does, and whether it was asked. */
  function asked(answer: () => Promise<unknown>): [() => Promise<unknown>, Promise<void>] {
    let seen = (): void => undefined
    const wasAsked = new Promise<void>((resolve) => (seen = resolve))
    return [
      () => {
        seen()
        return answer()
      },
      wasAsked,
    ]
  }

  it('counts with the time of its answer, also when the attack is over before it', async () => {
    const late = () => new Promise((resolve) => setTimeout(resolve, 200))
    const counted = await times(...asked(late))
    expect(counted).toHaveLength(1)
    expect(counted[0]).toBeGreaterThan(190)
  })

  it('counts with the time that it waited when no answer comes', async () => {
    const counted = await times(...asked(() => new Promise(() => undefined)))
    expect(counted).toHaveLength(1)
    expect(counted[0]).toBeGreaterThan(900)
  })

  it('counts when it is refused', async () => {
    const counted = await times(...asked(() => Promise.reject(new Error('not now'))))
    expect(counted).toHaveLength(1)
  })

  it('does not count when the one asked was killed, before or while it was asked', async () => {
    const [status, wasAsked] = asked(async () => {
      child.kill('SIGKILL')
      await once(child, 'exit')
      throw new Error('the connection was lost')
    })
    expect(await times(status, wasAsked)).toEqual([])
    expect(await times(...asked(() => new Promise(() => undefined)))).toEqual([])
  })
})
