import type { GateRun } from './command.ts'
import {
  isOfTheseFiles,
  lastReport,
  MARK,
  report,
  reportPath,
  writeReport,
  type GateReport,
  type Item,
} from './report.ts'

/** Whose report it is. */
export type Of = Pick<GateReport, 'gate' | 'helper' | 'accelerator' | 'slice'>

export type How = {
  /** Nothing of an earlier run is taken over. */
  fresh: boolean
  /** What held in an earlier run is taken over, whatever files that was of. */
  'keep-held': boolean
}

/**
 * Does one thing after the other and keeps the report after each: a run that was cut off, however it was, goes on where
 * it was if the files and what was asked for are the same. What was not run is tried again. More lanes than one do
 * their things at once, each one after the other.
 */
export async function inTurn<T extends { id: string }>(
  of: Of,
  things: readonly T[],
  how: How,
  { signal, progress, asked, files }: GateRun,
  lanes: readonly ((thing: T) => Promise<Item>)[],
  folder?: string,
): Promise<GateReport> {
  const path = reportPath({ ...of, asked: [...asked] }, folder)
  const { since, known } = takenOver(path, how, asked, files.code)
  const left = things.filter(({ id }) => !known.has(id))
  if (left.length < things.length)
    progress(`going on after ${things.length - left.length} that were done before`)
  const made = (interrupted: boolean): GateReport => {
    const items = things.flatMap(({ id }) => known.get(id) ?? [])
    return report(since, { ...of, ...files, items, seed: 0, asked: [...asked], interrupted })
  }
  await Promise.all(
    lanes.map(async (one) => {
      for (let thing = left.shift(); thing !== undefined; thing = left.shift()) {
        const item = await one(thing)
        known.set(item.id, item)
        progress(`${MARK[item.outcome]} ${item.id} (${(item.ms / 1000).toFixed(1)} s)`)
        if (!signal.aborted) writeReport(path, made(true))
      }
    }),
  )
  return made(signal.aborted)
}

type TakenOver = { since: Date; known: Map<string, Item> }

function takenOver(path: string, how: How, asked: readonly string[], code: string): TakenOver {
  const kept = how.fresh ? null : lastReport(path)
  const known = (items: Item[]): Map<string, Item> => new Map(items.map((item) => [item.id, item]))
  if (kept === null || kept.asked.join(' ') !== asked.join(' '))
    return { since: new Date(), known: known([]) }
  if (kept.interrupted && isOfTheseFiles(kept, code))
    return {
      since: new Date(kept.started_at),
      known: known(kept.items.filter(({ outcome }) => outcome !== 'not run')),
    }
  const held = kept.items.filter(({ outcome }) => how['keep-held'] && outcome === 'held')
  return {
    since: new Date(),
    known: known(held.map((item) => ({ commit: kept.commit, ...item }))),
  }
}
