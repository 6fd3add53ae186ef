import type { Run } from '../gates/command.ts'
import { MARK, type Item } from '../gates/report.ts'
import type { Which } from '../support/helper-binary.ts'
import { Arena, type Verdict } from './arena.ts'
import type { Probe } from './probe.ts'

const CUT_OFF: Verdict = { outcome: 'not run', reason: 'cut off', ms: 0, statusMs: [], isSeen: false }

/** Runs probes one after the other. */
export async function attack(which: Which, probes: readonly Probe[], run: Run): Promise<Item[]> {
  return await each(which, probes, run, async (arena, probe) => {
    const { id, group, attacker, promise } = probe
    const { outcome, reason, ms, statusMs } = run.signal.aborted ? CUT_OFF : await arena.run(probe)
    return { id, group, attacker, promise, outcome, reason, ms, count: 1, status_ms: statusMs }
  })
}

/** Runs probes on a product that has their defects, where each has to see its promise broken. */
export async function attackDefective(which: Which, probes: readonly Probe[], run: Run): Promise<Item[]> {
  return await each(which, probes, run, async (arena, probe) => {
    const { id, group, attacker, defect } = probe
    const { outcome, reason, ms, isSeen } = run.signal.aborted ? CUT_OFF : await arena.run(probe, true)
    return {
      ...{ id, group, attacker, ms, count: 1 },
      promise: `It fails when ${defect.when}.`,
      outcome: outcome === 'not run' ? outcome : isSeen ? 'held' : 'broken',
      reason: outcome === 'held' ? 'it saw nothing' : reason,
    }
  })
}

async function each(
  which: Which,
  probes: readonly Probe[],
  run: Run,
  one: (arena: Arena, probe: Probe) => Promise<Item>,
): Promise<Item[]> {
  const arena = new Arena(which)
  const items: Item[] = []
  try {
    for (const probe of probes) {
      const item = await one(arena, probe)
      items.push(item)
      run.progress(`${MARK[item.outcome]} ${item.id} (${(item.ms / 1000).toFixed(1)} s)`)
    }
    return items
  } finally {
    await arena.close()
  }
}
