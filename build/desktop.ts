import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './root.ts'

/** Whether `npm start` can open the app on this machine, or in one sentence why it goes on headless. */
export type Desktop =
  { readonly kind: 'app'; readonly program: string } | { readonly kind: 'headless'; readonly why: string }

interface Machine {
  readonly platform: NodeJS.Platform
  readonly env: Readonly<Record<string, string | undefined>>
  readonly root: boolean
  /** Arguments after `npm start --`. */
  readonly args: readonly string[]
}

/** How long a person waits for Electron's program, 100 MB, once. */
const DOWNLOAD_MS = 180_000

/** What rules a window out before anything is looked for; null when nothing does. */
export function noWindow({ platform, env, root: isRoot, args }: Machine): string | null {
  if (args.includes('--headless')) return 'As asked for'
  if (args.length > 0) return 'These options are those of the headless app'
  if (env.CI !== undefined && env.CI !== '' && env.CI !== 'false') return 'This is CI'
  if (platform === 'darwin') return null
  if (!env.DISPLAY && !env.WAYLAND_DISPLAY) return 'There is no display here'
  return isRoot ? 'Electron does not run as root' : null
}

/** Finds Electron's program, or fetches it: npm's package has no install script since Electron 42. */
export async function findDesktop(
  machine: Machine,
  { installed = installedProgram, fetch = fetchProgram } = {},
): Promise<Desktop> {
  const why = noWindow(machine)
  if (why !== null) return { kind: 'headless', why }
  const program = installed() ?? ((await fetch()) ? installed() : null)
  return program === null
    ? { kind: 'headless', why: "Electron's program could not be downloaded" }
    : { kind: 'app', program }
}

/** Null where only the package is there, which is what `npm ci` brings. */
export function installedProgram(directory = join(root, 'node_modules', 'electron')): string | null {
  try {
    const path = join(directory, 'dist', readFileSync(join(directory, 'path.txt'), 'utf8'))
    return existsSync(path) ? path : null
  } catch {
    return null
  }
}

function fetchProgram(): Promise<boolean> {
  console.error("• Electron's program, once …")
  return new Promise((resolve) => {
    const script = join(root, 'node_modules', 'electron', 'install.js')
    const child = spawn(process.execPath, [script], { stdio: 'ignore', timeout: DOWNLOAD_MS })
    child.on('error', () => resolve(false))
    child.on('close', (code) => resolve(code === 0))
  })
}
