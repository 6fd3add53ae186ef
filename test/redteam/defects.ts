import { gate, IN_TURN, IN_TURN_HELP, UsageError } from '../gates/command.ts'
import { acceleratorOf, helperBinary } from '../support/helper-binary.ts'
import { chosen } from './choice.ts'
import { attackDefective } from './run.ts'

const HELP = `npx tsx test/redteam/defects.ts [--only PATTERN] [--slice] [--fresh] [--json]

Runs each probe of the red team on a product that does not keep its promise: a lying helper in between, a tool that is
root, a QEMU that leaks. A probe that does not notice proves nothing, and is broken.

  --only PATTERN   only probes whose id, group or promise matches this regular expression
  --slice          those of the red team's slice
  ${IN_TURN_HELP}
  --json           the report on stdout; it is also kept in out/gates/defects-qemu.json`

await gate(HELP, IN_TURN, async ({ helper, slice, only, ...how }, names, run) => {
  if (helper !== 'qemu' || names.length > 0)
    throw new UsageError('Defects are put in on qemu, and there are no other arguments.')
  const probes = chosen({ which: helper, slice, only })
  const accelerator = await acceleratorOf(await helperBinary(helper))
  return await attackDefective({ gate: 'defects', helper, accelerator, slice }, probes, how, run)
})
