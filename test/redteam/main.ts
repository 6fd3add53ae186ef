import { COMMON, gate, UsageError } from '../gates/command.ts'
import { report } from '../gates/report.ts'
import { acceleratorOf, HELPERS, helperBinary } from '../support/helper-binary.ts'
import { chosen } from './choice.ts'
import { attack } from './run.ts'

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
    const probes = chosen({ which, slice, only })
    if (list) {
      for (const { id, attacker, promise } of probes) console.log(`${id} [${attacker}] ${promise}`)
      return null
    }
    const accelerator = await acceleratorOf(await helperBinary(which))
    const items = await attack(which, probes, run)
    return report(since, { gate: 'redteam', helper: which, accelerator, slice, seed: 0, items })
  },
)
