import { lstatSync, readdirSync } from 'node:fs'
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { BsmError, type EvidenceChunk, LIMITS } from '../../../core/protocol/index.ts'

/** Keeps one dispatch's chain as `evidence/<command_id>.ndjson`, one EvidenceChunk a line, 0600 (§3). */
export class ChainFile {
  readonly path: string
  readonly #file: FileHandle
  #writing: Promise<void> = Promise.resolve()
  #failure: unknown = null

  private constructor(path: string, file: FileHandle) {
    this.path = path
    this.#file = file
  }

  /** Throws `BAD_REQUEST` for a command id that has a chain already: ids are never used twice. */
  static async create(stateDir: string, commandId: string): Promise<ChainFile> {
    const directory = join(stateDir, 'evidence')
    const path = join(directory, `${commandId}.ndjson`)
    try {
      return new ChainFile(path, await openNew(path, directory))
    } catch (cause) {
      if (isErrno(cause, 'EEXIST')) throw usedBefore(commandId)
      throw new BsmError('VM_LIFECYCLE_ERROR', 'helper', 'The evidence of a dispatch cannot be kept.', {
        nextStep: isErrno(cause, 'ENOSPC')
          ? 'Free space on the disk that holds the state directory.'
          : 'Look at the state directory and its permissions.',
        cause,
      })
    }
  }

  append(chunk: EvidenceChunk): void {
    const line = Buffer.from(JSON.stringify(chunk) + '\n', 'utf8')
    this.#writing = this.#writing
      .then(async () => {
        if (this.#failure === null) await this.#file.appendFile(line)
      })
      .catch((cause: unknown) => {
        this.#failure = cause
      })
  }

  /** Waits for what was appended, and lets chains beyond the last 200 go. Resolves with why the chain is incomplete on disk, or null. */
  async close(): Promise<unknown> {
    await this.#writing
    await this.#file.close().catch((cause: unknown) => {
      this.#failure ??= cause
    })
    await prune(dirname(this.path), basename(this.path)).catch(() => undefined) // old chains harm no dispatch
    return this.#failure
  }
}

/**
 * Keeps the last 200 chains (§3), as many of them as fit into {@link LIMITS.evidenceStoreBytes}: the `newest`, which
 * was just closed, and those closed before it.
 */
export async function prune(
  directory: string,
  newest: string,
  { chains, bytes } = { chains: LIMITS.evidenceChains as number, bytes: LIMITS.evidenceStoreBytes as number },
): Promise<void> {
  // Synchronous: two hundred of these take a millisecond so, and several through the thread pool.
  const kept = readdirSync(directory)
    .filter((name) => name.endsWith('.ndjson'))
    .flatMap((name) => {
      const status = lstatSync(join(directory, name), { throwIfNoEntry: false })
      if (status === undefined) return []
      return [{ name, at: name === newest ? Infinity : status.mtimeMs, bytes: status.blocks * 512 }]
    })
  kept.sort((a, b) => b.at - a.at || (a.name < b.name ? 1 : -1))
  let total = 0
  for (const [at, chain] of kept.entries()) {
    total += chain.bytes
    if (at > 0 && (at >= chains || total > bytes)) await rm(join(directory, chain.name), { force: true })
  }
}

export const usedBefore = (commandId: string): BsmError =>
  new BsmError('BAD_REQUEST', 'agent', `The command id ${commandId} was used before.`, {
    nextStep: 'Use a fresh UUID for every command.',
  })

async function openNew(path: string, directory: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600)
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error
    await mkdir(directory, { recursive: true, mode: 0o700 })
    return await open(path, 'wx', 0o600)
  }
}

export const isErrno = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code
