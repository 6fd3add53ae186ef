import { accessSync, constants, existsSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { BsmError } from '../../core/protocol/index.ts'

/** A program with the arguments that stand before ours. */
export type Program = { command: string; args: string[] }

const notFound = (message: string, nextStep: string) =>
  new BsmError('BOOT_CONFIG_INVALID', 'app', message, { nextStep })

/** The helper to run: `qemu`, `vz`, a path, or by default the one of the platform. Throws BOOT_CONFIG_INVALID. */
export function locateHelper(choice: string | undefined, root: string, platform = process.platform): Program {
  switch (choice ?? (platform === 'darwin' ? 'vz' : 'qemu')) {
    case 'qemu':
      return qemuHelper(root)
    case 'vz':
      return executable(join(root, 'dist', 'bsm-vz-helper'), 'build it on a Mac, or use --helper qemu')
    default:
      return fromPath(resolve(choice ?? ''))
  }
}

function qemuHelper(root: string): Program {
  const path = join(root, 'dist', 'bsm-qemu-helper.mjs')
  if (existsSync(path)) return { command: process.execPath, args: [path] }
  throw notFound('the QEMU helper is not built', 'run `npm run build`')
}

/** A script runs under our own Node, so that it needs no executable bit and no Node in the PATH. */
function fromPath(path: string): Program {
  if (/\.[cm]?js$/.test(path) && existsSync(path)) return { command: process.execPath, args: [path] }
  return executable(path, 'give --helper the path of a helper, or qemu, or vz')
}

function executable(path: string, nextStep: string): Program {
  try {
    accessSync(path, constants.X_OK)
  } catch {
    throw notFound(`there is no helper that can be run at ${path}`, nextStep)
  }
  return { command: path, args: [] }
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
