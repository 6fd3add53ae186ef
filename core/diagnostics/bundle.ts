import { homedir } from 'node:os'
import { strToU8, zipSync } from 'fflate'
import { readSmallFile } from '../files.ts'
import { closeLogFiles, openLogFiles, readAcross } from '../logs/index.ts'
import type { Paths } from '../paths.ts'
import type { AppSnapshot } from '../protocol/index.ts'
import type { Machine } from './check.ts'
import { diagnose } from './index.ts'
import { redact } from './redact.ts'

/** Bytes kept of the end of each log. */
const LOG_BYTES = 512 * 1024

const README = `What is in this bundle

checks.json    what \`bsm doctor\` found
snapshot.json  what the app knew of itself; the output of tools is left out
settings.json  what was set
clients.json   names and dates of the agents with access; no token, and no hash of one
degraded.json  why dispatches are refused, if they are
app.log        the end of the app's log
console.log    the end of the guest's console: the guest's own words
audit.jsonl    the end of the audit log; since parts are taken out of it, its chain cannot be checked here

Tokens, keys, passwords and the name of the home directory were taken out of every file. Guest text can
hold anything: read console.log before you send this to anyone.
`

export interface SupportBundle {
  readonly name: string
  readonly zip: Buffer
  readonly files: { readonly name: string; readonly bytes: number }[]
}

/** A zip of what a maintainer needs to see. What cannot be read is named in it instead of failing. */
export async function makeBundle(machine: Machine, paths: Paths, now: Date): Promise<SupportBundle> {
  const home = machine.env.HOME ?? homedir()
  const secrets = [readOr(paths.controlToken).trim()]
  const clean = (text: string): string => redact(text, { home, secrets })
  const [diagnosis, snapshot] = await Promise.all([diagnose(machine), machine.app()])
  const texts: Record<string, string> = {
    'README.txt': README,
    'checks.json': pretty({ made_at: now.toISOString(), platform: machine.platform, ...diagnosis }),
    'snapshot.json': pretty(snapshot === null ? null : withoutOutput(snapshot)),
    'settings.json': readOr(paths.settings),
    'clients.json': clientsWithoutHashes(readOr(paths.clients)),
    'degraded.json': readOr(paths.degraded),
    'app.log': tailOf(`${paths.logsDir}/app.log`),
    'console.log': tailOf(`${paths.logsDir}/console.log`),
    'audit.jsonl': tailOf(paths.auditLog),
  }
  const contents = Object.entries(texts)
    .filter(([, text]) => text !== '')
    .map(([name, text]): [string, Uint8Array] => [name, strToU8(clean(text))])
  return {
    name: `bsm-diagnostics-${now.toISOString().slice(0, 19).replaceAll(':', '')}.zip`,
    zip: Buffer.from(zipSync(Object.fromEntries(contents), { mtime: now })),
    files: contents.map(([name, data]) => ({ name, bytes: data.length })),
  }
}

const pretty = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

/** What tools wrote is their clients' business. */
const withoutOutput = (snapshot: AppSnapshot): AppSnapshot => ({
  ...snapshot,
  dispatches: snapshot.dispatches.map((record) => ({ ...record, stdout_head: '', stderr_head: '' })),
})

function clientsWithoutHashes(text: string): string {
  try {
    const clients: unknown = JSON.parse(text)
    return pretty(
      Array.isArray(clients)
        ? clients.map(({ name, created_at, last_seen }) => ({ name, created_at, last_seen }))
        : [],
    )
  } catch {
    return ''
  }
}

function readOr(path: string): string {
  try {
    return readSmallFile(path, 1024 * 1024) ?? ''
  } catch (error) {
    return `cannot be read: ${error instanceof Error ? error.message : String(error)}\n`
  }
}

/** Whole lines of the end of a log. */
function tailOf(path: string): string {
  try {
    const files = openLogFiles([path])
    try {
      const size = files[0]?.size ?? 0
      const from = Math.max(0, size - LOG_BYTES)
      const text = readAcross(files, from, size).toString('utf8')
      return from === 0 ? text : text.slice(text.indexOf('\n') + 1)
    } finally {
      closeLogFiles(files)
    }
  } catch (error) {
    return `cannot be read: ${error instanceof Error ? error.message : String(error)}\n`
  }
}
