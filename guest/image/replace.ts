import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Folders beside `dir` that a build needs for a while carry its process id, so that those of a crash can be told. */
export const beside = (dir: string, use: 'building' | 'old'): string => `${dir}.${use}-${String(process.pid)}`

/** Puts `next` in the place of `dir`. A crash leaves the old folder there, the new one, or what `sweep` mends. */
export function replaceFolder(next: string, dir: string): void {
  const old = beside(dir, 'old')
  rmSync(old, { recursive: true, force: true })
  if (existsSync(dir)) renameSync(dir, old)
  try {
    renameSync(next, dir)
  } catch (error) {
    if (existsSync(old) && !existsSync(dir)) renameSync(old, dir)
    throw error
  }
  rmSync(old, { recursive: true, force: true })
}

/** Clears what crashed builds of `dir` left beside it, and puts an old folder back whose successor never came. */
export function sweep(dir: string): void {
  if (!existsSync(dirname(dir))) return
  for (const name of readdirSync(dirname(dir))) {
    if (!name.startsWith(basename(dir) + '.')) continue
    const [, use, pid] = /^\.(building|old)-(\d+)$/.exec(name.slice(basename(dir).length)) ?? []
    if (use === undefined || isAlive(Number(pid))) continue
    const path = join(dirname(dir), name)
    if (use === 'old' && !existsSync(dir)) renameSync(path, dir)
    else rmSync(path, { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return true
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
