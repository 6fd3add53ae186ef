import type { Stage } from './stage.ts'
import type { Which } from '../support/helper-binary.ts'
import type { Lie } from '../support/lying-qemu.ts'
import type { Scratch } from '../support/scratch.ts'
import type { ProxyMode } from '../support/socket-proxy.ts'
import type { Sabotage } from './sabotage.ts'

export type Group =
  | 'Persistence'
  | 'Escape and privilege'
  | 'Exhaustion'
  | 'Egress'
  | 'Output as attack'
  | 'Lying substrate'
  | 'Tampered snapshots'
  | 'Agents'

/** What the helper has a part in; all else is the guest's and the app's, the same whatever the helper. */
export const OF_THE_HELPER: readonly Group[] = ['Persistence', 'Lying substrate']

/**
 * Who attacks: a tool turned hostile in the guest, the guest itself, a hand on the host that has the user's files or
 * the hypervisor's answers, an agent at the app's socket.
 */
export type Attacker = 'tool' | 'guest' | 'host' | 'agent'

/**
 * What breaks the promise, put in by a test to see that the probe notices. Nothing in the product can be told to do
 * any of it: a program stands between ours and the probe, or the tool is the test image's `root.sh`.
 */
export type Defect = {
  /** A clause that begins with "when": what the product would be like. */
  when: string
  /** A helper that lies, with the honest one behind it. */
  helper?: Sabotage
  /** The probe's tool is root, unfiltered; this shell line comes first. */
  asRoot?: string
  /** A word to the QEMU in between ({@link Stage.qemu}). */
  qemu?: Lie
  /** An option that a person gives `bsm exec`. */
  option?: string
  /** What stands between agents and the app's socket. */
  socket?: ProxyMode
  /** What is done to an app's places before it starts, so that it has nothing to refuse; may give environment. */
  beforeStart?: (places: Scratch) => Record<string, string> | undefined
  /** What is done to them once it answers. */
  afterStart?: (places: Scratch) => void
}

export type Probe<S = unknown> = {
  /** Stable, for `--only` and the report. */
  id: string
  group: Group
  attacker: Attacker
  /** A sentence that this probe tries to make untrue. */
  promise: string
  /**
   * `vm` and `app`: the one that such probes share; `own-vm` and `own-app`: one of its own, because it ends or breaks
   * it, which the probe starts itself.
   */
  needs: 'vm' | 'own-vm' | 'app' | 'own-app'
  /** `test` has a tool that is root, for what only root could leave behind. */
  variant?: 'product' | 'test'
  /** Helpers that it can be run on, and why not on others. */
  only?: { helper: Which; because: string }
  /** In the quick run too. */
  slice?: boolean
  /** Not in `npm test`: it takes long, or differs little from another. */
  fullRunOnly?: boolean
  /** Milliseconds; {@link DEFAULT_BUDGET_MS} without. */
  budgetMs?: number
  setup?: (stage: Stage) => Promise<S>
  /** Attacks and looks. Throws `Broken`, or whatever went wrong; gives what it saw where that says something. */
  run: (stage: Stage, prepared: S) => Promise<unknown>
  teardown?: (stage: Stage, prepared: S) => Promise<void>
  defect: Defect
}

export const DEFAULT_BUDGET_MS = 60_000

/** Probes have many kinds of preparation, and a list has one. */
export const probe = <S>(one: Probe<S>): Probe => one as Probe
