import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Run } from '../gates/command.ts'
import type { Item } from '../gates/report.ts'
import { repository } from '../support/image.ts'

/** The guest's parsers: Go's own fuzzer, guided by coverage, from the corpora under `testdata/fuzz`. */
export type GoTarget = { id: string; folder: string; name: string; promise: string; inputs: number }

export const GO_TARGETS: readonly GoTarget[] = [
  {
    id: 'go.strictjson',
    folder: './internal/strictjson',
    name: 'FuzzParse',
    promise:
      'What the guest reads as JSON, it canonicalizes and reads again as the same; the rest is an error.',
    inputs: 150_000,
  },
  {
    id: 'go.frame',
    folder: './internal/frame',
    name: 'FuzzReader',
    promise: 'A stream gives the guest the same frames wherever it is cut, or a typed error.',
    inputs: 150_000,
  },
  {
    id: 'go.bridge',
    folder: './internal/bridge',
    name: 'FuzzFeed',
    promise: 'A port gives the bridge the same records wherever it is cut, or an error.',
    inputs: 150_000,
  },
  {
    id: 'go.dispatch',
    folder: './internal/dispatch',
    name: 'FuzzDecode',
    promise: 'A ToolDispatch is refused, or has a record that canonicalizes to itself.',
    inputs: 100_000,
  },
]

const DEADLINE_MS = 4 * 60_000

export async function fuzzGo(target: GoTarget, slice: boolean, run: Run): Promise<Item> {
  const since = performance.now()
  const args = slice
    ? ['-v', '-run', `^${target.name}$`]
    : ['-run', '^$', '-fuzz', `^${target.name}$`, '-fuzztime', `${target.inputs}x`, '-parallel', '2']
  const { code, output } = await go(['test', ...args, target.folder], run.signal)
  const item = (outcome: Item['outcome'], reason: string, count: number): Item => ({
    id: target.id,
    group: 'Go, guided by coverage',
    promise: target.promise,
    outcome,
    reason,
    ms: performance.now() - since,
    count,
  })
  const count = slice ? keptInputs(output) : executed(output)
  if (run.signal.aborted) return item('not run', 'cut off', count)
  if (code === null) return item('not run', 'there is no Go on this machine', 0)
  if (code !== 0) return item('broken', output.slice(-1_500), count)
  return count === 0 ? item('not run', `nothing was run: ${output.slice(-300)}`, 0) : item('held', '', count)
}

/** Inputs that the fuzzer says it ran: `fuzz: elapsed: 3s, execs: 10523 (3507/sec), …`. */
export const executed = (output: string): number =>
  Math.max(0, ...[...output.matchAll(/execs: (\d+)/g)].map(([, n]) => Number(n)))

/** Kept inputs run as tests: `--- PASS: FuzzParse/seed#0 (0.00s)`. */
export const keptInputs = (output: string): number =>
  [...output.matchAll(/^\s+--- (?:PASS|FAIL): Fuzz\w+\/\S+/gm)].length

/** `code` is null when there is no Go. */
function go(args: string[], signal: AbortSignal): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn('go', args, {
      cwd: join(repository, 'guest'),
      env: { ...process.env, GOTOOLCHAIN: 'local' },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    let output = ''
    const keep = (chunk: Buffer) => (output = (output + chunk.toString('utf8')).slice(-(1 << 20)))
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    // The fuzzer has workers: the whole group ends.
    const end = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // it ended already
      }
    }
    const late = setTimeout(end, DEADLINE_MS)
    signal.addEventListener('abort', end, { once: true })
    const done = (code: number | null) => {
      clearTimeout(late)
      signal.removeEventListener('abort', end)
      resolve({ code, output })
    }
    child.on('error', () => done(null))
    child.on('close', (code) => done(code ?? 1))
  })
}
