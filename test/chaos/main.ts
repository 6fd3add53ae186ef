import { COMMON, gate, UsageError, wholeNumber } from '../gates/command.ts'
import { commit, MARK, report, type Item } from '../gates/report.ts'
import { Finished, partialPath } from '../gates/resume.ts'
import { HELPERS, helperBinary } from '../support/helper-binary.ts'
import { freshImage } from '../support/image.ts'
import { PLAN, promiseOf } from './plan.ts'
import { Worlds } from './worlds.ts'

const HELP = `npm run chaos -- [--helper qemu|vz] [--only PATTERN] [--rounds N] [--slice] [--list] [--json]

Kills and stops the app, its helper and its VMs, fills the disk, makes it read-only and cuts files in half, at every
phase of boot, save, restore, standby, dispatch, reset and shutdown. After each: a clear state, no process and no file
left behind, ready again, a dispatch works and its reset is verified, the audit log verifies.

  --helper NAME    qemu (default) or vz
  --only PATTERN   only what has an id or a promise that matches this regular expression
  --rounds N       how often each is done (default 5)
  --slice          a handful of them, once: a quick look
  --list           what would be done, without doing it
  --json           the report on stdout; it is also kept in out/gates/chaos-NAME.json

A run that was cut off (Ctrl-C) goes on where it was, if the checkout and the options are the same.`

const SLICE_ROUNDS = 1

await gate(
  HELP,
  {
    ...COMMON,
    helper: { type: 'string', default: 'qemu' },
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '5' },
    list: { type: 'boolean', default: false },
  },
  async ({ helper, slice, only, list, ...values }, names, run) => {
    const which = HELPERS.find((one) => one === helper)
    if (which === undefined || names.length > 0)
      throw new UsageError(`--helper takes ${HELPERS.join(' or ')}, and there are no other arguments.`)
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
    const name = ['chaos', which, slice && 'slice'].filter(Boolean).join('-')
    const finished = new Finished(partialPath(name), `${commit()} ${rounds} ${only}`)
    if (finished.count > 0) run.progress(`going on after ${finished.count} that were done before the cut`)
    await helperBinary(which)
    const worlds = new Worlds(which, await freshImage(), run.signal)
    const items: Item[] = []
    try {
      for (const hurt of chosen) {
        const known = finished.find(hurt.id)
        const item = known ?? (await worlds.run(hurt, rounds))
        if (known === undefined && !run.signal.aborted) finished.add(item)
        items.push(item)
        run.progress(`${MARK[item.outcome]} ${item.id} (${(item.ms / 1000).toFixed(1)} s)`)
      }
    } finally {
      await worlds.close()
    }
    if (!run.signal.aborted) finished.remove()
    const { accelerator } = worlds
    return report(finished.since, { gate: 'chaos', helper: which, accelerator, slice, seed: 0, items })
  },
)
