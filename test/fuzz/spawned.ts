import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import type { HelperRequest } from '../../core/protocol/index.ts'
import { parseRequest } from '../../helper/qemu/server/requests.ts'
import type { Run } from '../gates/command.ts'
import type { Item } from '../gates/report.ts'
import { helperBinary, type Which } from '../support/helper-binary.ts'
import { bootHelper, killOrphans } from '../support/helper.ts'
import { freshImage, repository } from '../support/image.ts'
import { Scratch } from '../support/scratch.ts'
import { HELPER_REQUESTS, ID } from './messages.ts'
import { changedText } from './mutate.ts'

const BATCH = 500
const INPUTS = 60_000
const SLICE_INPUTS = 1_000

/** Requests that may be taken any number of times: they change nothing. */
const HARMLESS: readonly HelperRequest['kind'][] = ['status', 'query', 'cancel']

/**
 * The NDJSON channel of a helper that runs, be it written in another language. What our parser refuses, the helper must
 * refuse too, once; what ours takes it must answer, once; after every batch it must still answer.
 */
export async function fuzzSpawned(which: Which, seed: number, slice: boolean, run: Run): Promise<Item> {
  const since = performance.now()
  let count = 0
  const item = (outcome: Item['outcome'], reason: string): Item => ({
    id: `spawned.${which}`,
    group: 'NDJSON of a running helper',
    promise:
      'A line is refused once, or answered once, as the contract has it; the helper goes on answering.',
    outcome,
    reason,
    ms: performance.now() - since,
    count,
  })
  // Built by `npm run helper:vz`: a slice does not wait minutes for a toolchain.
  if (which === 'vz' && slice && !existsSync(join(repository, 'dist/bsm-vz-helper')))
    return item('not run', 'the vz helper is not built (npm run helper:vz)')
  const scratch = new Scratch('fuzz')
  const helper = bootHelper(await helperBinary(which), scratch, await freshImage())
  const wanted = slice ? SLICE_INPUTS : INPUTS
  try {
    await helper.ready()
    for (let batch = 0; count < wanted && !run.signal.aborted; batch += 1) {
      const lines = changedLines(seed + batch)
      for (const { bytes } of lines) helper.raw(bytes)
      // Refusals are said in order, before the answer to what came after them.
      await helper.status()
      const said = helper.events('protocol_error').length
      const refused = lines.filter(({ taken }) => taken === null).length
      if (said !== refused)
        return item('broken', `${said} refusals of ${refused} lines (seed ${seed + batch})`)
      for (const { taken } of lines) if (taken !== null) await helper.response(taken)
      count += lines.length
      if (helper.violations.length > 0) return item('broken', helper.violations.slice(0, 3).join('\n'))
      if (batch % 20 === 0) run.progress(`  spawned.${which}: ${count} lines`)
      helper.forget()
    }
    if (run.signal.aborted) return item('not run', `cut off after ${count} of ${wanted} lines`)
    const { code } = await helper.shutdown()
    return code === 0 ? item('held', '') : item('broken', `the helper ended with ${code}`)
  } catch (error) {
    return item('broken', error instanceof Error ? error.message.slice(0, 1_500) : String(error))
  } finally {
    await helper.dispose()
    await killOrphans(scratch)
    scratch.remove()
  }
}

const ANY_ID = new RegExp(`${ID}|0{8}-0{4}-0{4}-0{4}-0{12}`, 'g')

/** The line with an id that no other has, where it still has the one of the seeds: no request is answered twice. */
const withOwnId = (bytes: Buffer): Buffer =>
  Buffer.from(`${bytes.toString('latin1').replace(ANY_ID, () => randomUUID())}\n`, 'latin1')

/** `taken` is the id of a request that ours takes, and null of a line that it refuses. */
type ChangedLine = { bytes: Buffer; taken: string | null }

/** Changed requests, one line each: those that ours refuses, and of those that it takes the harmless ones. */
function changedLines(seed: number): ChangedLine[] {
  const ids = new Set<string>()
  return fc
    .sample(changedText(HELPER_REQUESTS), { seed, numRuns: BATCH })
    .map((bytes) => withOwnId(Buffer.from(bytes.map((byte) => (byte === 0x0a ? 0x20 : byte)))))
    .flatMap((bytes): ChangedLine[] => {
      const text = bytes.subarray(0, -1).toString('utf8')
      // Blank lines are passed over in silence, and one that is not UTF-8 is refused under another text.
      if (text.trim() === '') return []
      if (!Buffer.from(`${text}\n`, 'utf8').equals(bytes)) return [{ bytes, taken: null }]
      const parsed = parseRequest({ kind: 'line', text })
      if (parsed.kind === 'refused') return [{ bytes, taken: null }]
      const { kind, request_id } = parsed.request
      if (!HARMLESS.includes(kind) || ids.has(request_id)) return []
      ids.add(request_id)
      return [{ bytes, taken: request_id }]
    })
}
