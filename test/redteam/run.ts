import type { GateRun } from '../gates/command.ts'
import { inTurn, type How, type Of } from '../gates/in-turn.ts'
import type { GateReport, Item } from '../gates/report.ts'
import type { Which } from '../support/helper-binary.ts'
import { Arena, type Verdict } from './arena.ts'
import type { Probe } from './probe.ts'

type On = Of & { helper: Which }

const CUT_OFF: Verdict = { outcome: 'not run', reason: 'cut off', ms: 0, statusMs: [], isSeen: false }

/** Runs probes one after the other. */
export const attack = (of: On, probes: readonly Probe[], how: How, run: GateRun): Promise<GateReport> =>
  each(of, probes, how, run, async (arena, probe) => {
    const { id, group, attacker, promise } = probe
    const { outcome, reason, ms, statusMs } = run.signal.aborted ? CUT_OFF : await arena.run(probe)
    return { id, group, attacker, promise, outcome, reason, ms, count: 1, status_ms: statusMs }
  })

/** Runs probes on a product that has their defects, where each has to see its promise broken. */
export const attackDefective = (
  of: On,
  probes: readonly Probe[],
  how: How,
  run: GateRun,
): Promise<GateReport> =>
  each(of, probes, how, run, async (arena, probe) => {
    const { id, group, attacker, defect } = probe
    const { outcome, reason, ms, isSeen } = run.signal.aborted ? CUT_OFF : await arena.run(probe, true)
    return {
      ...{ id, group, attacker, ms, count: 1 },
      promise: `It fails when ${defect.when}.`,
      outcome: outcome === 'not run' ? outcome : isSeen ? 'held' : 'broken',
      reason: outcome === 'held' ? 'it saw nothing' : reason,
    }
  })

async function each(
  of: On,
  probes: readonly Probe[],
  how: How,
  run: GateRun,
  one: (arena: Arena, probe: Probe) => Promise<Item>,
): Promise<GateReport> {
  const arena = new Arena(of.helper)
  try {
    return await inTurn(of, probes, how, run, [(probe) => one(arena, probe)])
  } finally {
    await arena.close()
  }
}
