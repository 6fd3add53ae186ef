import { accessSync, constants, existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { BsmError } from '../protocol/index.ts'

/** A program with the arguments that stand before ours. */
interface Program {
  readonly command: string
  readonly args: readonly string[]
}

interface Machine {
  readonly platform: NodeJS.Platform
  readonly env: Readonly<Record<string, string | undefined>>
  /** Runs the helpers that are scripts. */
  readonly node: string
}

/**
 * The helper of a checkout at `root`: `qemu`, `vz`, a path, or without a choice that of `BSM_HELPER`, or the
 * platform's own. Throws VM_LIFECYCLE_ERROR when ours is not built, BAD_REQUEST when there is nothing at a path.
 */
export function locateHelper(
  choice: string | undefined,
  root: string,
  { platform, env, node }: Machine,
): Program {
  const named = choice ?? (env['BSM_HELPER'] || (platform === 'darwin' ? 'vz' : 'qemu'))
  switch (named) {
    case 'qemu':
      return qemuHelper(root, node)
    case 'vz':
      return vzHelper(root)
    default:
      return fromPath(resolve(named), node)
  }
}

function qemuHelper(root: string, node: string): Program {
  const path = join(root, 'dist', 'bsm-qemu-helper.mjs')
  if (existsSync(path)) return { command: node, args: [path] }
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
function fromPath(path: string, node: string): Program {
  if (/\.[cm]?js$/.test(path) && existsSync(path)) return { command: node, args: [path] }
  if (isExecutable(path)) return { command: path, args: [] }
  throw new BsmError('BAD_REQUEST', 'app', `there is no helper that can be run at ${path}`, {
    nextStep: 'give --helper or BSM_HELPER the path of a helper, or qemu, or vz',
  })
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
