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
  slice?: true
} & ({ victim: Victim; injury: Blow } | { victim: null; injury: Fault })

type At = keyof typeof MOMENTS
type Who = keyof typeof VICTIMS

/** Where each can be hit. Whoever stops the app itself for good is whoever must start it again. */
const KILLED: [At, Who[]][] = [
  ['helper', ['app', 'helper']],
  ['boot', ['app', 'helper', 'vm']],
  ['save', ['app', 'helper', 'vm']],
  ['restore', ['app', 'helper', 'vm']],
  ['standby', ['app', 'helper', 'vm', 'standby']],
  ['dispatch', ['app', 'helper', 'vm', 'standby']],
  ['reset', ['app', 'helper', 'standby']],
  ['rest', ['app', 'helper', 'vm', 'standby']],
  ['down', ['app', 'helper']],
  ['told', ['vm', 'standby']],
  ['shutdown', ['app', 'helper']],
]
const PAUSED: [At, Who[]][] = [
  ['boot', ['app', 'helper', 'vm']],
  ['save', ['app', 'helper']],
  ['restore', ['app', 'helper', 'vm']],
  ['standby', ['app', 'helper', 'vm', 'standby']],
  ['dispatch', ['app', 'helper', 'vm', 'standby']],
  ['reset', ['app', 'helper', 'standby']],
  ['rest', ['app', 'helper', 'vm', 'standby']],
  ['down', ['app', 'helper']],
  ['told', ['vm', 'standby']],
  ['shutdown', ['app', 'helper']],
]
const STOPPED: [At, Who[]][] = [
  ['boot', ['helper', 'vm']],
  ['restore', ['vm']],
  ['standby', ['vm', 'standby']],
  ['dispatch', ['helper', 'vm', 'standby']],
  ['reset', ['helper', 'standby']],
  ['rest', ['helper', 'vm', 'standby']],
  ['down', ['helper']],
  ['told', ['vm', 'standby']],
  ['shutdown', ['helper']],
]
const FAULTY: [At, (keyof typeof FAULTS)[]][] = [
  ['between', ['full', 'read-only', 'truncate-ram', 'truncate-device-state', 'truncate-manifest']],
  ['between', ['truncate-evidence', 'truncate-audit']],
  ['boot', ['full', 'read-only']],
  ['save', ['full', 'read-only']],
  ['restore', ['full', 'read-only']],
  ['standby', ['full', 'read-only']],
  ['dispatch', ['full', 'read-only']],
  ['reset', ['full', 'read-only']],
  ['rest', ['full', 'read-only', 'truncate-ram', 'truncate-device-state', 'truncate-manifest']],
  ['rest', ['truncate-evidence', 'truncate-audit']],
  ['shutdown', ['full', 'read-only']],
]

/** Found by use: of the helper no one asks anything while nothing runs, and a standby is not spoken to. */
const FOUND_BY_USE = new Set(['rest.helper.stop', 'rest.standby.stop'])

const SLICE = new Set(['rest.app.kill', 'rest.helper.kill', 'restore.helper.kill', 'dispatch.full'])

const ROUND_MS = 150_000
/** The helper's own deadlines are long: a boot has 180 s, and a reset 120 s behind its dispatch. */
const STOPPED_MS = 420_000

function blows(rows: [At, Who[]][], injury: Blow): Hurt[] {
  return rows.flatMap(([at, who]) =>
    who.map((name): Hurt => {
      const id = `${at}.${name}.${injury.id}`
      return {
        id,
        moment: MOMENTS[at],
        victim: VICTIMS[name],
        injury,
        budgetMs: injury.id === 'stop' ? STOPPED_MS : ROUND_MS,
        ...(FOUND_BY_USE.has(id) ? { foundByUse: true } : {}),
        ...(SLICE.has(id) ? { slice: true } : {}),
      }
    }),
  )
}

const faults: Hurt[] = FAULTY.flatMap(([at, names]) =>
  names.map((name): Hurt => {
    const id = `${at}.${name}`
    return {
      id,
      moment: MOMENTS[at],
      victim: null,
      injury: FAULTS[name],
      budgetMs: ROUND_MS,
      ...(SLICE.has(id) ? { slice: true } : {}),
    }
  }),
)

export const PLAN: readonly Hurt[] = [
  ...blows(KILLED, BLOWS.kill),
  ...blows(PAUSED, BLOWS.pause),
  ...faults,
  ...blows(STOPPED, BLOWS.stop),
]

/** What is promised, as one sentence. */
export function promiseOf({ moment, victim, injury }: Hurt): string {
  const what = victim === null ? injury.does : `${victim.who} ${injury.does}`
  return `${what} ${moment.when}: what came of it is said, nothing is left behind, and it works again.`
}
