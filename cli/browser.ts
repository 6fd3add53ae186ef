import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface OpenOptions {
  /** The desktop's program that opens files. */
  readonly opener?: string
  /** Milliseconds until the file with the address is removed; the address itself lives as long. */
  readonly livesMs?: number
}

const LIVES_MS = 60_000
const REDIRECT = /^open-[0-9a-f]{24}\.html$/
/** Outlives the command, which ends before the browser has read the file. */
const REMOVE_LATER =
  'setTimeout(() => require("node:fs").rmSync(process.argv[1], { force: true }), Number(process.argv[2]))'

/** Whether a window could be opened here. */
export function hasDisplay(env: NodeJS.ProcessEnv, platform = process.platform): boolean {
  return platform === 'darwin' || Boolean(env.DISPLAY) || Boolean(env.WAYLAND_DISPLAY)
}

/**
 * Has the desktop open the address; resolves to false when it has no program for that. Arguments of a process are
 * for every local user to read, so the address goes into a file of mode 0600 in `directory`, which sends the
 * browser on.
 */
export async function openBrowser(
  url: string,
  directory: string,
  { opener = process.platform === 'darwin' ? 'open' : 'xdg-open', livesMs = LIVES_MS }: OpenOptions = {},
): Promise<boolean> {
  const file = join(directory, `open-${randomBytes(12).toString('hex')}.html`)
  writeFileSync(file, redirectTo(url), { mode: 0o600, flag: 'wx' })
  const opened = await started(opener, [file])
  const kept = opened && (await started(process.execPath, ['-e', REMOVE_LATER, file, String(livesMs)]))
  if (!kept) rmSync(file, { force: true })
  return opened
}

/** Removes what {@link openBrowser} wrote and nobody needs after the app has ended. */
export function removeRedirects(directory: string): void {
  for (const name of readdirSync(directory))
    if (REDIRECT.test(name)) rmSync(join(directory, name), { force: true })
}

function redirectTo(url: string): string {
  const address = new URL(url).href.replaceAll('&', '&amp;').replaceAll('"', '&quot;')
  return `<!doctype html>
<meta charset="utf-8">
<meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url=${address}">
<title>Brainstorm Sandbox</title>
`
}

function started(command: string, args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: 'ignore', detached: true })
    child.once('error', () => resolve(false))
    child.once('spawn', () => {
      child.unref()
      resolve(true)
    })
  })
}
