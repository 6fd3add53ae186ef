import type { Control } from '../../client/index.ts'
import type { AgentExecResponse, AppSnapshot } from '../../core/protocol/index.ts'
import { until, within } from '../support/deadline.ts'
import type { World } from './world.ts'

export const PHASES = ['Boot', 'Save', 'Restore', 'Standby', 'Dispatch', 'Reset', 'Rest', 'Shutdown'] as const
export type Phase = (typeof PHASES)[number]

/** What the product still owes an answer when a moment is reached. */
export type Owed = Promise<AgentExecResponse | undefined>

export type Moment = {
  id: string
  phase: Phase
  /** A clause: "while the VM boots". */
  when: string
  /** What it begins from: an app that is not started, without or with a golden snapshot, or one at rest. */
  from: 'nothing' | 'golden' | 'rest'
  /** Victims are looked up before it is reached, since it takes them away. */
  isLast?: true
  /** Resolves in the moment, by an event of the product. Rejects with {@link Missed} when that was not seen. */
  reach: (world: World) => Promise<{ owed: Owed } | null>
}

/** The product was faster than we: to be tried again. */
export class Missed extends Error {
  override readonly name = 'Missed'
}

const SEEN_MS = 60_000
const LOOK_EVERY_MS = 10

/** Sees what the app shows from now on; `act` makes it show that. */
async function seen(
  control: Control,
  what: string,
  matches: (snapshot: AppSnapshot) => boolean,
  act: () => Promise<unknown>,
): Promise<{ owed: Promise<unknown> }> {
  let show: (snapshot: AppSnapshot) => void = () => undefined
  let miss: (error: Error) => void = () => undefined
  const shown = new Promise<AppSnapshot>((resolve, reject) => {
    show = resolve
    miss = reject
  })
  shown.catch(() => undefined)
  const stop = await control.subscribe(
    (event) => {
      if (event.event === 'state_changed' && matches(event.snapshot)) show(event.snapshot)
    },
    () => miss(new Missed(`${what} was over before it was seen`)),
  )
  try {
    const owed = act()
    const over = () => miss(new Missed(`${what} was over before it was seen`))
    owed.then(over, over)
    await within(SEEN_MS, what, shown)
    return { owed }
  } finally {
    stop()
  }
}

const soon = <T>(what: string, condition: () => T | Promise<T>): Promise<NonNullable<T>> =>
  until(SEEN_MS, what, condition, LOOK_EVERY_MS)

/** Says something, works on, and says more at its end, so that its evidence is still to be written. */
const WORK = 'echo go; sleep 3; dd if=/dev/zero bs=64k count=4 2>/dev/null'

/** What it is killed at, should it be stopped. */
const WORK_MS = 10_000

async function dispatching(world: World): Promise<{ owed: Owed }> {
  const control = await world.control()
  let begun: () => void = () => undefined
  const output = new Promise<void>((resolve) => (begun = resolve))
  const owed = control.exec('sh', { command: WORK }, { deadlineMs: WORK_MS, onOutput: () => begun() })
  owed.catch(() => undefined)
  await within(SEEN_MS, 'output of the dispatch', Promise.race([output, owed]))
  return { owed }
}

const startingVm = async (world: World): Promise<null> => {
  await world.start()
  await soon('a VM', () => world.vms[0])
  return null
}

export const MOMENTS = {
  helper: {
    id: 'helper',
    phase: 'Boot',
    when: 'as the helper has just been started',
    from: 'golden',
    reach: async (world) => {
      await world.start()
      await soon('a helper', () => world.helper)
      return null
    },
  },
  boot: {
    id: 'boot',
    phase: 'Boot',
    when: 'while the VM boots from cold',
    from: 'nothing',
    reach: startingVm,
  },
  save: {
    id: 'save',
    phase: 'Save',
    when: 'while the golden snapshot is written',
    from: 'nothing',
    reach: async (world) => {
      await world.start()
      await soon('a golden snapshot in the making', () => {
        if (world.goldens.length > 0) throw new Missed('the golden snapshot was written before that was seen')
        return world.isSaving
      })
      return null
    },
  },
  restore: {
    id: 'restore',
    phase: 'Restore',
    when: 'while the first VM is restored from the golden snapshot',
    from: 'golden',
    reach: startingVm,
  },
  standby: {
    id: 'standby',
    phase: 'Standby',
    when: 'while a standby is prepared',
    from: 'rest',
    reach: async (world) => {
      const control = await world.control()
      const isPreparing = ({ helper }: AppSnapshot) => helper?.standby.state === 'preparing'
      const never = new Promise<never>(() => undefined)
      await seen(control, 'a standby in preparation', isPreparing, async () => {
        await control.reset()
        await never
      })
      await soon('its VM', () => world.vms[1])
      return null
    },
  },
  dispatch: {
    id: 'dispatch',
    phase: 'Dispatch',
    when: 'while a tool runs',
    from: 'rest',
    reach: dispatching,
  },
  reset: {
    id: 'reset',
    phase: 'Reset',
    when: 'while the VM is reset after a dispatch',
    from: 'rest',
    isLast: true,
    reach: async (world) => {
      const control = await world.control()
      const { owed } = await seen(
        control,
        'a reset',
        ({ state }) => state === 'resetting',
        () => control.exec('echo', { text: 'x' }),
      )
      return { owed: owed as Owed }
    },
  },
  rest: {
    id: 'rest',
    phase: 'Rest',
    when: 'while nothing runs',
    from: 'rest',
    reach: async () => null,
  },
  between: {
    id: 'between',
    phase: 'Rest',
    when: 'before the app starts',
    from: 'golden',
    reach: async () => null,
  },
  asked: {
    id: 'asked',
    phase: 'Shutdown',
    when: 'as a person stops the VM and the app goes on',
    from: 'rest',
    isLast: true,
    reach: async (world) => {
      const control = await world.control()
      return { owed: control.down(false).then(() => undefined) }
    },
  },
  down: {
    id: 'down',
    phase: 'Shutdown',
    when: 'while a person stops the VM and the app goes on',
    from: 'rest',
    isLast: true,
    reach: async (world) => {
      const control = await world.control()
      const { owed } = await seen(
        control,
        'the stop',
        ({ state }) => state === 'stopping',
        () => control.down(false),
      )
      return { owed: owed.then(() => undefined) }
    },
  },
  told: {
    id: 'told',
    phase: 'Shutdown',
    when: 'as the app is told to end',
    from: 'rest',
    isLast: true,
    reach: async (world) => {
      world.app.child.kill('SIGTERM')
      return null
    },
  },
  shutdown: {
    id: 'shutdown',
    phase: 'Shutdown',
    when: 'while the app ends',
    from: 'rest',
    isLast: true,
    reach: async (world) => {
      const control = await world.control()
      await seen(
        control,
        'the end',
        ({ state }) => state === 'stopping',
        async () => {
          const { exited } = world.app
          world.app.child.kill('SIGTERM')
          await exited
        },
      )
      return null
    },
  },
} as const satisfies Record<string, Moment>
