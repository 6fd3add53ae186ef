import { COMMON, gate, UsageError } from '../gates/command.ts'
import { MARK, report, type Item } from '../gates/report.ts'
import { acceleratorOf, HELPERS, helperBinary } from '../support/helper-binary.ts'
import { Arena } from './arena.ts'
import { OF_THE_HELPER } from './probe.ts'
import { PROBES } from './probes/index.ts'

const HELP = `npm run redteam -- [--helper qemu|vz] [--only PATTERN] [--slice] [--list] [--json]

Attacks the product on real VMs, as a hostile tool, guest, host or agent would, and looks whether what is promised holds.

  --helper NAME    qemu (default) or vz
  --only PATTERN   only probes whose id, group or promise matches this regular expression
  --slice          one probe or two of each kind: a quick look; on vz only what the helper has a part in
  --list           the probes, without running them
  --json           the report on stdout; it is also kept in out/gates/redteam-NAME.json`

await gate(
  HELP,
  {
    ...COMMON,
    helper: { type: 'string', default: 'qemu' },
    only: { type: 'string', default: '' },
    list: { type: 'boolean', default: false },
  },
  async ({ helper, slice, only, list }, names, run) => {
    const since = new Date()
    const which = HELPERS.find((one) => one === helper)
    if (which === undefined || names.length > 0)
      throw new UsageError(`--helper takes ${HELPERS.join(' or ')}, and there are no other arguments.`)
    const pattern = new RegExp(only, 'i')
    const chosen = PROBES.filter(
      ({ id, group, promise, slice: isQuick }) =>
        (!slice || (isQuick === true && (which === 'qemu' || OF_THE_HELPER.includes(group)))) &&
        [id, group, promise].some((text) => pattern.test(text)),
    )
    if (chosen.length === 0) throw new UsageError(`There is no probe like ${only}.`)
    if (list) {
      for (const { id, attacker, promise } of chosen) console.log(`${id} [${attacker}] ${promise}`)
      return null
    }
    const accelerator = await acceleratorOf(await helperBinary(which))
    const arena = new Arena(which)
    const items: Item[] = []
    try {
      for (const probe of chosen) {
        const { outcome, reason, ms, statusMs } = run.signal.aborted
          ? { outcome: 'not run' as const, reason: 'cut off', ms: 0, statusMs: [] }
          : await arena.run(probe)
        const { id, group, attacker, promise } = probe
        items.push({ id, group, attacker, promise, outcome, reason, ms, count: 1, status_ms: statusMs })
        run.progress(`${MARK[outcome]} ${id} (${(ms / 1000).toFixed(1)} s)`)
      }
    } finally {
      await arena.close()
    }
    return report(since, { gate: 'redteam', helper: which, accelerator, slice, seed: 0, items })
  },
)
