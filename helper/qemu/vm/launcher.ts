import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, constants, existsSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as z from 'zod'
import { BsmError, Digest, LineSplitter } from '../../../core/protocol/index.ts'
import { type Deferred, deferred, within } from '../deadline.ts'

/** What bsm-launcher (Go, `../launcher`) prints, one JSON object a line. */
const LauncherLine = z.discriminatedUnion('event', [
  z.strictObject({ event: z.literal('started'), pid: z.int().positive() }),
  z.strictObject({
    event: z.literal('exited'),
    code: z.int().nullable(),
    signal: z.string().optional(),
  }),
  z.strictObject({
    event: z.literal('memory'),
    name: z.string(),
    pid: z.int(),
    fd: z.int(),
    size: z.int(),
  }),
  z.strictObject({ event: z.literal('sealed') }),
  z.strictObject({ event: z.literal('copied'), size: z.int() }),
  z.strictObject({ event: z.literal('digest'), name: z.string(), digest: Digest }),
  z.strictObject({ event: z.literal('error'), message: z.string() }),
])
export type LauncherLine = z.infer<typeof LauncherLine>
type LineOf<E extends LauncherLine['event']> = Extract<LauncherLine, { event: E }>

/** What a launcher inherits at one descriptor: a socket pair of ours, or one of our descriptors. */
export type Inherit = 'pipe' | number

const alive = new Set<LauncherProcess>()

/** Resolves once every launcher has ended, or after `ms`. Nothing of ours is to outlive us, however briefly. */
export async function launchersEnded(ms: number): Promise<void> {
  for (const launcher of alive) launcher.close()
  const ended = Promise.all([...alive].map((launcher) => launcher.ended))
  await within(ms, ended, () => launcherFailed('a launcher did not end')).catch(() => undefined)
}

/** One run of bsm-launcher. It ends when {@link close} is called, or when this process dies. */
export class LauncherProcess {
  readonly child: ChildProcess
  /** Resolves when the launcher itself is gone; it has reaped what it started by then. */
  readonly ended: Promise<unknown>
  readonly #waiting: { event: string; name: string | undefined; wanted: Deferred<LauncherLine> }[] = []
  readonly #unclaimed: LauncherLine[] = []
  #failure: BsmError | null = null
  #stderr = ''

  /** `inherit[i]` becomes descriptor `3 + i` of the launcher. */
  constructor(args: string[], inherit: Inherit[]) {
    this.child = spawn(launcherPath(), args, { stdio: ['pipe', 'pipe', 'pipe', ...inherit], env: {} })
    const ended = deferred<null>()
    alive.add(this)
    this.ended = ended.promise.finally(() => alive.delete(this))
    this.child.once('error', (cause) => {
      this.#fail(launcherFailed(`bsm-launcher could not be started: ${cause.message}`, cause))
      ended.resolve(null)
    })
    this.child.once('close', () => {
      this.#fail(launcherFailed(`bsm-launcher ended early. ${this.#stderr}`.trim()))
      ended.resolve(null)
    })
    this.child.stdin?.on('error', () => undefined) // it ended first: `close` tells
    const lines = new LineSplitter(64 * 1024)
    this.child.stdout?.on('data', (chunk: Buffer) => {
      for (const line of lines.push(chunk)) if (line.kind === 'line') this.#take(line.text)
    })
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString('utf8')).slice(-4096)
    })
  }

  /** The last 4 KiB that the launcher and what it runs wrote to standard error. */
  get stderr(): string {
    return this.#stderr.trim()
  }

  /** The next line of this kind (and name); rejects with the launcher's own error. */
  async line<E extends LauncherLine['event']>(event: E, ms: number, name?: string): Promise<LineOf<E>> {
    const at = this.#unclaimed.findIndex((line) => matches(line, event, name))
    if (at !== -1) return this.#unclaimed.splice(at, 1)[0] as LineOf<E>
    if (this.#failure !== null) throw this.#failure
    const wanted = deferred<LauncherLine>()
    this.#waiting.push({ event, name, wanted })
    const line = await within(ms, wanted.promise, () =>
      launcherFailed(`bsm-launcher did not report "${event}" within ${ms} ms`),
    )
    return line as LineOf<E>
  }

  /** Ends the launcher, and what it runs (SIGKILL), by closing its standard input. */
  close(): void {
    this.child.stdin?.destroy()
  }

  #take(text: string): void {
    let line: LauncherLine
    try {
      line = LauncherLine.parse(JSON.parse(text))
    } catch (cause) {
      this.#fail(launcherFailed('bsm-launcher printed something else than its own lines', cause))
      return
    }
    if (line.event === 'error') {
      this.#fail(launcherFailed(line.message))
      return
    }
    const at = this.#waiting.findIndex((waiting) => matches(line, waiting.event, waiting.name))
    const waiting = at === -1 ? undefined : this.#waiting.splice(at, 1)[0]
    if (waiting === undefined) this.#unclaimed.push(line)
    else waiting.wanted.resolve(line)
  }

  #fail(error: BsmError): void {
    this.#failure ??= error
    for (const { wanted } of this.#waiting.splice(0)) wanted.reject(this.#failure)
  }
}

function matches(line: LauncherLine, event: string, name: string | undefined): boolean {
  return line.event === event && (name === undefined || ('name' in line && line.name === name))
}

function launcherFailed(message: string, cause?: unknown): BsmError {
  const noSpace = /no space left/i.test(message)
  return new BsmError('VM_LIFECYCLE_ERROR', 'helper', message, {
    nextStep: noSpace
      ? 'Free space on the disk that holds the state directory, then start again.'
      : /cannot allocate memory/i.test(message)
        ? 'Free memory on this machine or give the VM less of it, then start again.'
        : 'Build bsm-launcher again (npm run build) and start again.',
    ...(cause === undefined ? {} : { cause }),
  })
}

let found: string | null = null

/** `$BSM_LAUNCHER`, beside the bundle, or `dist/` of the checkout. */
export function launcherPath(): string {
  if (found !== null) return found
  const here = dirname(fileURLToPath(import.meta.url))
  const candidates = [
    process.env['BSM_LAUNCHER'],
    join(here, 'bsm-launcher'),
    join(here, '../../../dist/bsm-launcher'),
  ]
  const path = candidates.find((candidate) => candidate !== undefined && existsSync(candidate))
  if (path === undefined)
    throw new BsmError('VM_LIFECYCLE_ERROR', 'helper', 'bsm-launcher, which starts the VM, is missing.', {
      nextStep: 'Build it with "npm run build", or name it in BSM_LAUNCHER.',
    })
  return (found = path)
}

// ---------------------------------------------------------------- memory files

/** An anonymous file in memory, held open by this process. Closing the last descriptor frees it. */
export class Memory {
  readonly fd: number
  readonly size: number
  #open = true
  constructor(fd: number, size: number) {
    this.fd = fd
    this.size = size
  }

  /** A descriptor of the same bytes with its own position, read-only. The caller closes it. */
  reopen(): number {
    return openSync(`/proc/self/fd/${this.fd}`, constants.O_RDONLY)
  }

  close(): void {
    // Closing twice would close a stranger's descriptor.
    if (this.#open) closeSync(this.fd)
    this.#open = false
  }
}

export type MemorySource =
  | { kind: 'empty'; bytes: number }
  /** A sealed copy of what this descriptor reads, from its start. */
  | { kind: 'copy' | 'ram'; fd: number }

const MEMORY_DEADLINE_MS = 30_000

/**
 * Makes memory files. Those of kind `ram` come with their RAM digest (defined in
 * `launcher/digest.go`), which is computed while the caller goes on.
 */
export async function makeMemories<N extends string>(
  sources: Record<N, MemorySource>,
): Promise<{ memories: Record<N, Memory>; digest: (name: N) => Promise<string> }> {
  const names = Object.keys(sources) as N[]
  const inherit: number[] = []
  const args = names.map((name) => {
    const source = sources[name]
    if (source.kind === 'empty') return `${name}=empty:${source.bytes}`
    inherit.push(source.fd)
    return `${name}=${source.kind}:${2 + inherit.length}`
  })
  const launcher = new LauncherProcess(['memfd', ...args], inherit)
  const memories: Partial<Record<N, Memory>> = {}
  try {
    for (const name of names) {
      const line = await launcher.line('memory', MEMORY_DEADLINE_MS, name)
      memories[name] = new Memory(openSync(`/proc/${line.pid}/fd/${line.fd}`, constants.O_RDWR), line.size)
    }
  } catch (error) {
    launcher.close()
    for (const memory of Object.values<Memory | undefined>(memories)) memory?.close()
    throw error
  }
  const digests = new Map<N, Promise<string>>()
  for (const name of names.filter((each) => sources[each].kind === 'ram')) {
    const digest = launcher.line('digest', MEMORY_DEADLINE_MS, name).then((line) => line.digest)
    digest.catch(() => undefined)
    digests.set(name, digest)
  }
  void Promise.allSettled(digests.values()).then(() => launcher.close())
  return {
    memories: memories as Record<N, Memory>,
    digest: async (name) => (await digests.get(name)) ?? '',
  }
}

/** Seals memory files that no process maps writable any more. */
export async function sealMemories(memories: readonly Memory[]): Promise<void> {
  const fds = memories.map((_, i) => 3 + i).join(',')
  const launcher = new LauncherProcess(
    ['seal', '--fds', fds],
    memories.map((memory) => memory.fd),
  )
  await launcher.line('sealed', MEMORY_DEADLINE_MS)
}

/** The RAM digest of a memory file (`launcher/digest.go`). Takes both cores for a tenth of a second. */
export async function ramDigest(memory: Memory): Promise<string> {
  const launcher = new LauncherProcess(['digest', '--fd', '3'], [memory.fd])
  return (await launcher.line('digest', MEMORY_DEADLINE_MS)).digest
}

/** Copies a memory file to a file, holes as holes, and syncs it. */
export async function copySparse(from: number, to: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const launcher = new LauncherProcess(['copy', '--from', '3', '--to', '4'], [from, to])
  const abort = () => launcher.child.kill('SIGKILL')
  signal.addEventListener('abort', abort)
  try {
    await launcher.line('copied', 2 * MEMORY_DEADLINE_MS)
    await launcher.ended
  } finally {
    signal.removeEventListener('abort', abort)
    launcher.close()
  }
}
