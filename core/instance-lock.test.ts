import { spawn } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { acquireInstanceLock } from './instance-lock.ts'
import { identify } from './process-identity.ts'
import { temporaryDirectory } from './testing/fixture.ts'
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

  it('taken over by many at once is won by one', async () => {
    const path = lockPath()
    writeFileSync(path, DEAD)
    const module = new URL('instance-lock.ts', import.meta.url).href
    const code = `
      const { acquireInstanceLock } = await import(${JSON.stringify(module)})
      process.stdout.write('armed')
      process.stdin.once('data', () => {
        let won = 0
        try { acquireInstanceLock(${JSON.stringify(path)}); won = 1 } catch {}
        process.stdout.write(String(won))
        setTimeout(() => process.exit(), 500)
      })`
    const racers = Array.from({ length: 4 }, () =>
      spawn(process.execPath, [...TSX, '--input-type=module', '-e', code]),
    )
    const armed = racers.map((racer) => new Promise((resolve) => racer.stdout.once('data', resolve)))
    await Promise.all(armed)
    const results = racers.map(
      (racer) =>
        new Promise<number>((resolve) => racer.stdout.once('data', (data: Buffer) => resolve(Number(data)))),
    )
    for (const racer of racers) racer.stdin.write('go')
    expect((await Promise.all(results)).reduce((sum, won) => sum + won, 0)).toBe(1)
  })
})

it('a process is known by its number and its start', () => {
  expect(identify(process.pid)).toEqual(identify(process.pid))
  expect(identify(999_999_999)).toBeNull()
})
