import { COMMON, gate, helperOption, wholeNumber } from '../gates/command.ts'
import { report } from '../gates/report.ts'
import { helperBinary } from '../support/helper-binary.ts'
import { freshImage } from '../support/image.ts'
import { soak } from './run.ts'

/** Evidence is kept of the last 200 dispatches; Node goes on compiling what they run for longer (docs/verified.md). */
const SETTLING = 750
/** Of so many, the slope of memory is known to a tenth of a per cent in 1000. */
const JUDGED = 1250
/** Of the new app, before it is compared: what is slow only at first would hide what has grown. */
const FRESH = 250
/** A dispatch's time varies by 7 %: of so many, 1750 dispatches apart, growth is known to 0.6 % in 1000. */
const PAIRS = 400
const SLICE = 10

const HELP = `npm run soak -- [--helper qemu|vz] [--dispatches N] [--slice] [--json]

Dispatches with resets in a row through the app. Each looks for marks that the ones before it left (files, shared
memory, environment, processes, timers, sockets; as root also mounts, kernel settings, cgroups, the clock), then leaves
its own. Memory, descriptors, processes and disk are sampled at each: none may have a slope. Nor may the dispatch's
time: afterwards ${PAIRS} dispatches are compared with as many of a second app, begun anew and ${FRESH} dispatches old.

  --helper NAME    qemu (default) or vz
  --dispatches N   dispatches over which nothing may grow (default ${JUDGED}; fewer may leave a noisy figure undecided,
                   which is then "not run"); before them come ${SETTLING} in which the store of evidence, which holds
                   the last 200, fills and Node compiles what a dispatch runs
  --slice          10 dispatches: marks are looked for, slopes are not judged
  --json           the report on stdout; it is also kept in out/gates/soak-NAME.json`

await gate(
  HELP,
  {
    ...COMMON,
    helper: { type: 'string', default: 'qemu' },
    dispatches: { type: 'string', default: String(JUDGED) },
  },
  async ({ helper, slice, ...values }, names, run) => {
    const since = new Date()
    const which = helperOption(helper, names)
    const dispatches = slice ? SLICE : wholeNumber('dispatches', values.dispatches, 1, 1_000_000)
    await helperBinary(which)
    // With the tool that root's marks need.
    const image = await freshImage('base', 'test')
    const settling = slice ? 0 : SETTLING
    const pairs = slice ? 0 : PAIRS
    const soaked = await soak({ which, image, dispatches, settling, fresh: FRESH, pairs }, run)
    return report(since, { gate: 'soak', helper: which, slice, seed: 0, ...soaked })
  },
)
