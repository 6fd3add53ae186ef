import { gate, helperOption, IN_TURN, IN_TURN_HELP } from '../gates/command.ts'
import { acceleratorOf, helperBinary } from '../support/helper-binary.ts'
import { chosen } from './choice.ts'
import { attack } from './run.ts'

const HELP = `npm run redteam -- [--helper qemu|vz] [--only PATTERN] [--slice] [--fresh] [--list] [--json]

Attacks the product on real VMs, as a hostile tool, guest, host or agent would, and looks whether what is promised holds.

  --helper NAME    qemu (default) or vz
  --only PATTERN   only probes whose id, group or promise matches this regular expression
  --slice          one probe or two of each kind: a quick look; on vz only what the helper has a part in
  ${IN_TURN_HELP}
  --list           the probes, without running them
  --json           the report on stdout; it is also kept in out/gates/redteam-NAME.json`

await gate(
  HELP,
  {
    ...IN_TURN,
    list: { type: 'boolean', default: false },
  },
  async ({ helper, slice, only, list, ...how }, names, run) => {
    const which = helperOption(helper, names)
    const probes = chosen({ which, slice, only })
    if (list) {
      for (const { id, attacker, promise } of probes) console.log(`${id} [${attacker}] ${promise}`)
      return null
    }
    const accelerator = await acceleratorOf(await helperBinary(which))
    return await attack({ gate: 'redteam', helper: which, accelerator, slice }, probes, how, run)
  },
)
