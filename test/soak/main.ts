import { COMMON, gate, helperOption, wholeNumber } from '../gates/command.ts'
import { report } from '../gates/report.ts'
import { helperBinary } from '../support/helper-binary.ts'
import { freshImage } from '../support/image.ts'
import { soak } from './run.ts'

const HELP = `npm run soak -- [--helper qemu|vz] [--dispatches N] [--slice] [--json]

Dispatches with resets in a row through the app. Each looks for marks that the ones before it left (files, shared
memory, environment, processes, timers, sockets; as root also mounts, kernel settings, cgroups, the clock), then leaves
its own. Memory, descriptors, processes, disk and times are sampled at each: none may have a slope.

  --helper NAME    qemu (default) or vz
  --dispatches N   dispatches that are judged (default 1500; fewer may leave a noisy figure undecided, which is then
                   "not run"); before them come 250 in which the store of evidence, which holds the last 200, fills
  --slice          10 dispatches: marks are looked for, slopes are not judged
  --json           the report on stdout; it is also kept in out/gates/soak-NAME.json`

/** Evidence is kept of the last 200 dispatches, and by then Node has compiled most of what a dispatch runs. */
const SETTLING = 250
const SLICE = 10

await gate(
  HELP,
  {
    ...COMMON,
    helper: { type: 'string', default: 'qemu' },
    dispatches: { type: 'string', default: '1500' },
  },
  async ({ helper, slice, ...values }, names, run) => {
    const since = new Date()
    const which = helperOption(helper, names)
    const dispatches = slice ? SLICE : wholeNumber('dispatches', values.dispatches, 1, 1_000_000)
    await helperBinary(which)
    // With the tool that root's marks need.
    const image = await freshImage('base', 'test')
    const soaked = await soak({ which, image, dispatches, settling: slice ? 0 : SETTLING }, run)
    return report(since, { gate: 'soak', helper: which, slice, seed: 0, ...soaked })
  },
)
