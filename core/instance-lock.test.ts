import { spawn } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { acquireInstanceLock } from './instance-lock.ts'
import { identify } from './process-identity.ts'
import { onCleanup, temporaryDirectory } from './testing/fixture.ts'
import { TSX } from './testing/scripted-helper-command.ts'

const lockPath = (): string => join(temporaryDirectory(), 'app.lock')
const DEAD = JSON.stringify({ pid: 999_999_999, start: 'linux:another-boot:1' })

describe('the instance lock', () => {
  it('is held by one, and free again after its release', () => {
    const path = lockPath()
    const lock = acquireInstanceLock(path)
    expect(lock.takenFrom).toBeNull()
    expect(() => acquireInstanceLock(path)).toThrow(`(process ${process.pid})`)
    lock.release()
    acquireInstanceLock(path).release()
  })

  it.each([
    ['a dead owner', DEAD],
    [
      'a live process that merely has its number',
      JSON.stringify({ pid: process.pid, start: 'linux:another-boot:1' }),
    ],
    ['nobody who can be read', 'half a'],
  ])('is taken over from %s', (_name, content) => {
    const path = lockPath()
    writeFileSync(path, content)
    acquireInstanceLock(path)
    expect(() => acquireInstanceLock(path)).toThrow('Another Brainstorm Sandbox')
  })

  it('is taken over also where a starter died while taking over', () => {
    const path = lockPath()
    writeFileSync(path, DEAD)
    const first = acquireInstanceLock(path)
    first.release()
    writeFileSync(path, DEAD)
    for (const name of ['0', 'f']) writeFileSync(`${path}.${name.repeat(16)}`, DEAD)
    expect(acquireInstanceLock(path).takenFrom).toMatchObject({ pid: 999_999_999 })
  })

  it('is released only by its owner', () => {
    const path = lockPath()
    const lock = acquireInstanceLock(path)
    writeFileSync(path, DEAD)
    lock.release()
    expect(readdirSync(join(path, '..'))).toEqual(['app.lock'])
  })

  it('taken over by many at once is won by one, every time', { timeout: 60_000 }, async () => {
    const ROUNDS = 20
    const directory = temporaryDirectory()
    const paths = Array.from({ length: ROUNDS }, (_, round) => join(directory, `${round}.lock`))
    for (const path of paths) writeFileSync(path, DEAD)
    // Each racer waits for the same moment, then tries for all the locks, one after the other.
    const code = `
      const { acquireInstanceLock } = await import(${JSON.stringify(new URL('instance-lock.ts', import.meta.url).href)})
      process.stdin.once('data', (moment) => {
        while (Date.now() < Number(moment)) {}
        const won = ${JSON.stringify(paths)}.map((path) => {
          try { acquireInstanceLock(path); return 1 } catch { return 0 }
        })
        process.stdout.write(JSON.stringify(won))
        process.stdin.once('data', () => process.exit())
      })
      process.stdout.write('armed')`
    const racers = Array.from({ length: 3 }, () =>
      spawn(process.execPath, [...TSX, '--input-type=module', '-e', code]),
    )
    onCleanup(() => racers.forEach((racer) => racer.kill('SIGKILL')))
    const next = () =>
      Promise.all(racers.map((racer) => new Promise<Buffer>((done) => racer.stdout.once('data', done))))
    await next()
    const results = next()
    for (const racer of racers) racer.stdin.write(String(Date.now() + 300))
    const won = (await results).map((line) => JSON.parse(line.toString()) as number[])
    const winners = paths.map((_, round) => won.reduce((sum, mine) => sum + (mine[round] ?? 0), 0))
    expect(winners).toEqual(paths.map(() => 1))
  })
})

it('a process is known by its number and its start', () => {
  expect(identify(process.pid)).toEqual(identify(process.pid))
  expect(identify(999_999_999)).toBeNull()
})
