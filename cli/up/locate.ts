import { accessSync, constants, existsSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { BsmError } from '../../core/protocol/index.ts'
import { UsageError } from '../usage-error.ts'

/** A program with the arguments that stand before ours. */
type Program = { command: string; args: string[] }

/**
 * The helper to run: `qemu`, `vz`, a path, or without one that of `BSM_HELPER`, or the platform's own. Throws VM_LIFECYCLE_ERROR when
 * ours is not built, and a usage error when there is nothing at a path.
 */
export function locateHelper(
  choice: string | undefined,
  root: string,
  { platform, env }: { platform: NodeJS.Platform; env: NodeJS.ProcessEnv },
): Program {
  const named = choice ?? (env['BSM_HELPER'] || (platform === 'darwin' ? 'vz' : 'qemu'))
  switch (named) {
    case 'qemu':
      return qemuHelper(root)
    case 'vz':
      return vzHelper(root)
    default:
      return fromPath(resolve(named))
  }
}

function qemuHelper(root: string): Program {
  const path = join(root, 'dist', 'bsm-qemu-helper.mjs')
  if (existsSync(path)) return { command: process.execPath, args: [path] }
  throw notBuilt('QEMU', 'run `npm run build`')
}

function vzHelper(root: string): Program {
  const path = join(root, 'dist', 'bsm-vz-helper')
  if (isExecutable(path)) return { command: path, args: [] }
  throw notBuilt('Virtualization.framework', 'run `npm run helper:vz`, or use --helper qemu')
}

const notBuilt = (name: string, nextStep: string): BsmError =>
  new BsmError('VM_LIFECYCLE_ERROR', 'app', `the ${name} helper is not built`, { nextStep })

/** A script runs under our own Node, so that it needs no executable bit and no Node in the PATH. */
function fromPath(path: string): Program {
  if (/\.[cm]?js$/.test(path) && existsSync(path)) return { command: process.execPath, args: [path] }
  if (isExecutable(path)) return { command: path, args: [] }
  throw new UsageError(
    `there is no helper that can be run at ${path}`,
    'give --helper the path of a helper, or qemu, or vz',
  )
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Where a guest image lies: `recipe` is a folder in `imageDir`, and without one the settings name it. */
export type ImagePlace = { imageDir: string; recipe?: string }

/** A recipe's name, or the path of an image's folder (with a slash). */
export function locateImage(choice: string | undefined, root: string): ImagePlace {
  const imageDir = join(root, 'out', 'guest')
  if (choice === undefined) return { imageDir }
  if (!choice.includes('/')) return { imageDir, recipe: choice }
  const folder = resolve(choice)
  return { imageDir: dirname(folder), recipe: basename(folder) }
}
