import type { Stats } from 'node:fs'
import { lstat, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from '../files.ts'
import {
  BsmError,
  dispatchRecord,
  LIMITS,
  type EvidenceVerdict,
  type ExecRequest,
} from '../protocol/index.ts'
import { epochOf, evidenceError, recomputeChain, sameBytes } from './verify.ts'

type Dispatch = Omit<ExecRequest, 'kind' | 'request_id'>

const CHAIN_NAME = /^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.ndjson$/i

interface Kept {
  readonly chains: number
  readonly bytes: number
}

/** The chains under `evidence/`, written by the helper, one file a dispatch; we check and prune them. */
export class EvidenceStore {
  readonly #directory: string
  readonly #keep: Kept
  /** Oldest first. */
  #chains: { readonly id: string; readonly bytes: number }[] = []

  constructor(
    directory: string,
    keep: Kept = { chains: LIMITS.evidenceChains, bytes: LIMITS.evidenceStoreBytes },
  ) {
    this.#directory = directory
    this.#keep = keep
  }

  pathOf(commandId: string): string {
    return join(this.#directory, `${commandId}.ndjson`)
  }

  /** Nothing was ever dispatched here, as far as is still known. */
  get empty(): boolean {
    return this.#chains.length === 0
  }

  /** Whether a chain of this command is kept: its id must not be used again. */
  has(commandId: string): boolean {
    const id = commandId.toLowerCase()
    return this.#chains.some((kept) => kept.id.toLowerCase() === id)
  }

  /** Learns which chains there are; what has another name, or is no file, is left alone. */
  async load(): Promise<void> {
    const found: { id: string; bytes: number; at: number }[] = []
    for (const name of await readdir(this.#directory)) {
      const id = CHAIN_NAME.exec(name)?.[1]
      const stats = id === undefined ? null : await this.#look(id)
      if (id !== undefined && stats !== null) found.push({ id, bytes: stats.size, at: stats.mtimeMs })
    }
    this.#chains = found.sort((a, b) => a.at - b.at).map(({ id, bytes }) => ({ id, bytes }))
    await this.#prune()
  }

  /** A chain was written; the oldest beyond the limits go. */
  async added(commandId: string): Promise<void> {
    if (!this.has(commandId))
      this.#chains.push({ id: commandId, bytes: (await this.#look(commandId))?.size ?? 0 })
    await this.#prune()
  }

  /** Null when there is no such file, also since just now: a leftover helper may prune at the same time. */
  async #look(commandId: string): Promise<Stats | null> {
    try {
      const stats = await lstat(this.pathOf(commandId))
      return stats.isFile() ? stats : null
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null
      throw error
    }
  }

  /** The newest is always kept. */
  async #prune(): Promise<void> {
    let bytes = this.#chains.reduce((sum, chain) => sum + chain.bytes, 0)
    for (;;) {
      const [oldest, next] = this.#chains
      const fits = this.#chains.length <= this.#keep.chains && bytes <= this.#keep.bytes
      if (fits || oldest === undefined || next === undefined) return
      this.#chains.shift()
      bytes -= oldest.bytes
      await unlink(this.pathOf(oldest.id)).catch((error: unknown) => {
        if (errnoOf(error) !== 'ENOENT') throw error
      })
    }
  }

  /**
   * Compares what the helper says about a dispatch with what it stored: the chain must open with the very
   * dispatch we asked for, in the epoch the response names, and come to the same hash. Throws a
   * {@link BsmError} that says what differs.
   */
  async check(dispatch: Dispatch, evidenceHash: string, epoch: number | undefined): Promise<void> {
    const chain = await this.#recompute(dispatch.command_id)
    if (chain.problem !== null) throw new BsmError(chain.problem.code, 'helper', chain.problem.message)
    if (chain.hash !== evidenceHash)
      throw mismatch('the stored chain does not come to the evidence hash of the response')
    const named = epoch ?? epochOf(chain.opening)
    if (named === null || !sameBytes(dispatchRecord(dispatch, named), chain.opening))
      throw mismatch('the stored chain does not open with the dispatch that was asked for')
  }

  /** Recomputes a kept chain against the hash on record. Throws when there is no chain. */
  async verify(commandId: string, onRecord: string | null): Promise<EvidenceVerdict> {
    const chain = await this.#recompute(commandId)
    const ok = chain.hash !== null && chain.hash === onRecord
    return {
      ok,
      command_id: commandId,
      evidence_hash: onRecord,
      recomputed: chain.hash,
      chunks: chain.chunks,
      message: verdict(ok, chain.problem?.message, onRecord, chain.chunks),
    }
  }

  async #recompute(commandId: string) {
    try {
      return await recomputeChain(this.pathOf(commandId), commandId)
    } catch (error) {
      throw evidenceError(error, commandId)
    }
  }
}

function verdict(ok: boolean, problem: string | undefined, onRecord: string | null, chunks: number): string {
  if (ok) return `All ${chunks} chunks chain to the recorded evidence hash.`
  if (problem !== undefined) return problem
  if (onRecord === null)
    return 'The chain is whole, but the audit log holds no evidence hash to compare it with.'
  return 'The chain is whole, but it is not the one whose hash was recorded: it was replaced.'
}

const mismatch = (what: string): BsmError =>
  new BsmError('EVIDENCE_MISMATCH', 'helper', `The evidence does not hold: ${what}.`, {
    nextStep: 'Do not trust the output; see `bsm doctor`.',
  })
