import { existsSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { buildHelper, buildLauncher } from '../../build/bundle.ts'
import { repository } from './image.ts'

/** A helper under test: how it is started, and which of our two it is, if one. */
export type HelperBinary = { name: string; command: string; args: string[] }

/**
 * `qemu` and `vz` are ours; anything else is a path to a program. Ours for Linux is bundled anew
 * when its sources changed, so that a stale bundle cannot hide a fix or a bug.
 */
export async function helperBinary(which: string): Promise<HelperBinary> {
  if (which === 'qemu') {
    await buildLauncher()
    await buildHelper()
    return { name: 'qemu', command: process.execPath, args: [join(repository, 'dist/bsm-qemu-helper.mjs')] }
  }
  if (which === 'vz') {
    const candidates = [
      process.env['BSM_VZ_HELPER'],
      join(repository, 'dist/bsm-vz-helper'),
      join(repository, 'helper/vz/.build/release/bsm-vz-helper'),
      join(repository, 'helper/vz/.build/debug/bsm-vz-helper'),
    ]
    const found = candidates.find((path) => path !== undefined && existsSync(path))
    if (found === undefined)
      throw new Error('The vz helper was not built: run "swift build -c release" in helper/vz.')
    return { name: 'vz', command: found, args: [] }
  }
  const path = resolve(which)
  if (!existsSync(path)) throw new Error(`There is no helper at ${path}.`)
  if (/\.(mjs|js)$/.test(path)) return { name: which, command: process.execPath, args: [path] }
  if (!(statSync(path).mode & 0o111)) throw new Error(`${path} is not executable.`)
  return { name: which, command: path, args: [] }
}
