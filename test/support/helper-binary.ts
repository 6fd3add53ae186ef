import { existsSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { buildHelper, buildLauncher } from '../../build/bundle.ts'
import { run } from '../../build/run.ts'
import { buildVzHelper } from '../../build/vz-helper.ts'
import { Preflight } from '../../core/protocol/index.ts'
import { repository } from './image.ts'

/** Our helpers: what dispatches and resets is tested against both. */
export const HELPERS = ['qemu', 'vz'] as const
export type Which = (typeof HELPERS)[number]

/** A helper under test: how it is started. */
export type HelperBinary = { name: string; command: string; args: string[] }

/**
 * `qemu` and `vz` are ours; anything else is a path to a program. Ours are built anew when their
 * sources changed, so that a stale one cannot hide a fix or a bug. `BSM_VZ_HELPER` names another build
 * of the vz helper, one under a sanitizer.
 */
export async function helperBinary(which: string): Promise<HelperBinary> {
  if (which === 'qemu') {
    await buildLauncher()
    await buildHelper()
    return { name: 'qemu', command: process.execPath, args: [join(repository, 'dist/bsm-qemu-helper.mjs')] }
  }
  if (which === 'vz') {
    const other = process.env['BSM_VZ_HELPER']
    if (other !== undefined) return { name: 'vz', command: resolve(other), args: [] }
    if (process.platform === 'linux') await buildLauncher()
    await buildVzHelper(() => undefined)
    return { name: 'vz', command: join(repository, 'dist/bsm-vz-helper'), args: [] }
  }
  const path = resolve(which)
  if (!existsSync(path)) throw new Error(`There is no helper at ${path}.`)
  if (/\.(mjs|js)$/.test(path)) return { name: which, command: process.execPath, args: [path] }
  if (!(statSync(path).mode & 0o111)) throw new Error(`${path} is not executable.`)
  return { name: which, command: path, args: [] }
}

/** What a helper's VMs run by on this machine, by its preflight. */
export async function acceleratorOf({ command, args }: HelperBinary): Promise<string> {
  return Preflight.parse(JSON.parse(await run(command, [...args, 'preflight']))).accelerator
}
