import { BLOWS, FAULTS, VICTIMS, type Blow, type Fault, type Victim } from './injuries.ts'
import { MOMENTS, type Moment } from './moments.ts'

/** One thing done at one moment. */
export type Hurt = {
  /** `moment.victim.injury`, and `moment.injury` of the disk. */
  id: string
  moment: Moment
  /** Milliseconds of one round at most. */
  budgetMs: number
  /** Nobody looks at the victim before it is used: a dispatch finds out. */
  foundByUse?: true
  /** What could not be removed meanwhile is so by the next start. */
  sweptByStart?: true
  slice?: true
} & ({ victim: Victim; injury: Blow } | { victim: null; injury: Fault })

type At = keyof typeof MOMENTS
type Who = keyof typeof VICTIMS

type Blows = readonly (keyof typeof BLOWS)[]
const KILLED: Blows = ['kill']
/** Not stopped for good: whoever stops the app must start it again, and who is not asked meanwhile is not missed. */
const BRIEFLY: Blows = ['kill', 'pause']
const EVERY_WAY: Blows = ['kill', 'pause', 'stop']

/** Who is hit when, and how. */
const HIT: Record<Exclude<At, 'between'>, Partial<Record<Who, Blows>>> = {
  helper: { app: KILLED, helper: KILLED },
  boot: { app: BRIEFLY, helper: EVERY_WAY, vm: EVERY_WAY },
  save: { app: BRIEFLY, helper: BRIEFLY, vm: EVERY_WAY },
  restore: { app: BRIEFLY, helper: BRIEFLY, vm: EVERY_WAY },
  standby: { app: BRIEFLY, helper: BRIEFLY, vm: EVERY_WAY, standby: EVERY_WAY },
  dispatch: { app: BRIEFLY, helper: EVERY_WAY, vm: EVERY_WAY, standby: EVERY_WAY },
  // The working VM is the first that a reset ends: it is there for some milliseconds more.
  reset: { app: BRIEFLY, helper: EVERY_WAY, vm: BRIEFLY, standby: EVERY_WAY },
  rest: { app: BRIEFLY, helper: EVERY_WAY, vm: EVERY_WAY, standby: EVERY_WAY },
  // A VM is gone within milliseconds of a stop that is shown: it is hit as that is asked for.
  asked: { vm: EVERY_WAY, standby: EVERY_WAY },
  down: { app: BRIEFLY, helper: EVERY_WAY },
  told: { vm: EVERY_WAY, standby: EVERY_WAY },
  shutdown: { app: BRIEFLY, helper: EVERY_WAY },
}
const FAULTY: [At, (keyof typeof FAULTS)[]][] = [
  ['between', ['full', 'read-only', 'truncate-ram', 'truncate-device-state', 'truncate-manifest']],
  ['between', ['truncate-evidence', 'truncate-audit']],
  ['boot', ['full', 'read-only', 'truncate-rootfs', 'truncate-audit']],
  ['save', ['full', 'read-only', 'truncate-making']],
  ['restore', ['full', 'read-only', 'truncate-ram', 'truncate-manifest']],
  ['standby', ['full', 'read-only', 'truncate-ram', 'truncate-manifest', 'truncate-clone']],
  ['dispatch', ['full', 'read-only', 'truncate-evidence', 'truncate-audit']],
  ['reset', ['full', 'read-only', 'truncate-ram', 'truncate-manifest', 'truncate-clone']],
  ['rest', ['full', 'read-only', 'truncate-ram', 'truncate-device-state', 'truncate-manifest']],
  ['rest', ['truncate-evidence', 'truncate-audit']],
  ['shutdown', ['full', 'read-only', 'truncate-audit']],
]

/** Found by use: a standby is not spoken to. */
const FOUND_BY_USE = new Set(['rest.standby.stop'])

/** A snapshot half written where nothing can be removed any more. */
const SWEPT_BY_START = new Set(['save.read-only'])

const SLICE = new Set(['rest.app.kill', 'rest.helper.kill', 'restore.helper.kill', 'dispatch.full'])

const ROUND_MS = 150_000
/** The helper's own deadlines are long: a boot has 180 s, and a reset 120 s behind its dispatch. */
const STOPPED_MS = 420_000

/** A table's keys, as what they are. */
const keys = <K extends string>(table: Partial<Record<K, unknown>>): K[] => Object.keys(table) as K[]

const blows: Hurt[] = keys(HIT).flatMap((at) =>
  keys(HIT[at]).flatMap((who) =>
    (HIT[at][who] ?? []).map((name): Hurt => {
      const id = `${at}.${who}.${name}`
      return {
        id,
        moment: MOMENTS[at],
        victim: VICTIMS[who],
        injury: BLOWS[name],
        budgetMs: name === 'stop' ? STOPPED_MS : ROUND_MS,
        ...(FOUND_BY_USE.has(id) ? { foundByUse: true } : {}),
        ...(SLICE.has(id) ? { slice: true } : {}),
      }
    }),
  ),
)

const faults: Hurt[] = FAULTY.flatMap(([at, names]) =>
  names.map((name): Hurt => {
    const id = `${at}.${name}`
    return {
      id,
      moment: MOMENTS[at],
      victim: null,
      injury: FAULTS[name],
      budgetMs: ROUND_MS,
      ...(SWEPT_BY_START.has(id) ? { sweptByStart: true } : {}),
      ...(SLICE.has(id) ? { slice: true } : {}),
    }
  }),
)

export const PLAN: readonly Hurt[] = [...blows, ...faults]

/** What is promised, as one sentence. */
export function promiseOf({ moment, victim, injury }: Hurt): string {
  const what = victim === null ? injury.does : `${victim.who} ${injury.does}`
  return `${what} ${moment.when}: what came of it is said, nothing is left behind, and it works again.`
}
