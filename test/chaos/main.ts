import { gate, helperOption, IN_TURN, IN_TURN_HELP, UsageError, wholeNumber } from '../gates/command.ts'
import { inTurn } from '../gates/in-turn.ts'
import { acceleratorOf, helperBinary } from '../support/helper-binary.ts'
import { freshImage } from '../support/image.ts'
import { PLAN, promiseOf, type Hurt } from './plan.ts'
import { Worlds } from './worlds.ts'

const HELP = `npm run chaos -- [--helper qemu|vz] [--only PATTERN] [--rounds N] [--slice] [--fresh] [--list] [--json]

Kills and stops the app, its helper and its VMs, fills the disk, makes it read-only and cuts files in half, at every
phase of boot, save, restore, standby, dispatch, reset and shutdown. After each: a clear state, no process and no file
left behind, ready again, a dispatch works and its reset is verified, the audit log verifies.

  --helper NAME    qemu (default) or vz
  --only PATTERN   only what has an id or a promise that matches this regular expression
  --rounds N       how often each is done (default 5)
  --slice          a handful of them, once: a quick look
  ${IN_TURN_HELP}
  --list           what would be done, without doing it
  --json           the report on stdout; it is also kept in out/gates/chaos-NAME.json`

const SLICE_ROUNDS = 1
/** Worlds at once: much of a round is waiting, for what was stopped to be found above all. */
const LANES = 3

await gate(
  HELP,
  {
    ...IN_TURN,
    rounds: { type: 'string', default: '5' },
    list: { type: 'boolean', default: false },
  },
  async ({ helper, slice, only, list, ...values }, names, run) => {
    const which = helperOption(helper, names)
    const rounds = slice ? SLICE_ROUNDS : wholeNumber('rounds', values.rounds, 1, 1_000)
    const pattern = new RegExp(only, 'i')
    const chosen = PLAN.filter(
      (hurt) =>
        (!slice || hurt.slice === true) && [hurt.id, promiseOf(hurt)].some((text) => pattern.test(text)),
    )
    if (chosen.length === 0) throw new UsageError(`There is nothing like ${only}.`)
    if (list) {
      for (const hurt of chosen) console.log(`${hurt.id} ${promiseOf(hurt)}`)
      return null
    }
    const accelerator = await acceleratorOf(await helperBinary(which))
    const image = await freshImage()
    const lanes = Array.from({ length: slice ? 1 : LANES }, () => new Worlds(which, image, run.signal))
    try {
      const of = { gate: 'chaos', helper: which, accelerator, slice } as const
      const each = lanes.map((worlds) => (hurt: Hurt) => worlds.run(hurt, rounds))
      return await inTurn(of, chosen, values, run, each)
    } finally {
      await Promise.all(lanes.map((worlds) => worlds.close()))
    }
  },
)
