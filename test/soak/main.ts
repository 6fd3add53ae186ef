import { COMMON, gate, helperOption, wholeNumber } from '../gates/command.ts'
import { report } from '../gates/report.ts'
import { helperBinary } from '../support/helper-binary.ts'
import { freshImage } from '../support/image.ts'
import { inAll, soak, type Length } from './run.ts'

const WHOLE: Length = {
  // Evidence is kept of the last 200 dispatches, and Node goes on compiling what they run for longer.
  settling: 750,
  // Memory grows by less and less: of 1000 alone, what it settles by is near the bound.
  dispatches: 1500,
  // What is slow only at first would hide what has grown.
  warming: 250,
  // A time varies by 7 %: of so many pairs, 2000 dispatches apart, growth is known to 0.6 % in 1000.
  pairs: 300,
}
/** Too few for a slope, of everything that the whole does. */
const SLICE: Length = { settling: 0, dispatches: 10, warming: 1, pairs: 2 }

const HELP = `npm run soak -- [--helper qemu|vz] [--dispatches N] [--slice] [--json]

Dispatches with resets in a row through the app. Each looks for marks that the ones before it left (files, shared
memory, environment, processes, timers, sockets; as root also mounts, kernel settings, cgroups, the clock), then leaves
its own. Memory, descriptors, processes and disk are sampled at each: none may have a slope. Nor may the dispatch's
time: afterwards ${WHOLE.pairs} dispatches are compared with as many of a fresh app, which is ${WHOLE.warming} dispatches old.

  --helper NAME    qemu (default) or vz
  --dispatches N   dispatches over which nothing may grow (default ${WHOLE.dispatches}; fewer may leave a noisy figure undecided,
                   which is then "not run"); before them come ${WHOLE.settling} in which the store of evidence, which holds
                   the last 200, fills and Node compiles what a dispatch runs
  --slice          ${inAll(SLICE)} dispatches in place of ${inAll(WHOLE)}: marks are looked for, slopes are not judged
  --json           the report on stdout; it is also kept in out/gates/soak-NAME.json`

await gate(
  HELP,
  {
    ...COMMON,
    helper: { type: 'string', default: 'qemu' },
    dispatches: { type: 'string', default: String(WHOLE.dispatches) },
  },
  async ({ helper, slice, ...values }, names, run) => {
    const since = new Date()
    const which = helperOption(helper, names)
    const dispatches = wholeNumber('dispatches', values.dispatches, 1, 1_000_000)
    await helperBinary(which)
    // With the tool that root's marks need.
    const image = await freshImage('base', 'test')
    const soaked = await soak({ which, image, ...(slice ? SLICE : { ...WHOLE, dispatches }) }, run)
    return report(since, { gate: 'soak', helper: which, slice, seed: 0, ...soaked })
  },
)
