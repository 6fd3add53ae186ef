import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'bsm-interrupt-'))
})
afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

/** The command lines of what runs with `text` in its environment, but for what has ended and is not yet collected. */
function running(text: string): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'utf8').includes(text)) return []
      return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')]
    } catch {
      return [] // no process, or one that has ended
    }
  })
}

/** The build, once it has begun to write. */
async function begun() {
  const args = [join(import.meta.dirname, 'build.ts'), '--force', '--out', join(dir, 'image')]
  const env = { ...process.env, BSM_INTERRUPTED: dir }
  const build = spawn(process.execPath, ['--import', 'tsx', ...args], { env, stdio: 'ignore' })
  const ended = once(build, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  while (build.exitCode === null && !readdirSync(dir).some((name) => name.startsWith('image.building-')))
    await delay(20)
  return { pid: build.pid ?? 0, ended }
}

describe('a build that is interrupted', () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`by ${signal} leaves neither a folder nor a program behind`, { timeout: 120_000 }, async () => {
      const { pid, ended } = await begun()
      expect(running(`BSM_INTERRUPTED=${dir}`)).not.toEqual([])
      process.kill(pid, signal) // of the build alone: what it started has to be ended by it
      expect(await ended).toEqual([null, signal])
      expect(readdirSync(dir)).toEqual([])
      expect(running(`BSM_INTERRUPTED=${dir}`)).toEqual([])
    })
  }
})
