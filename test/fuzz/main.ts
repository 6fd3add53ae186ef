import { COMMON, gate, UsageError, wholeNumber } from '../gates/command.ts'
import { MARK, report, type Item } from '../gates/report.ts'
import { GO_TARGETS, fuzzGo } from './go.ts'
import { HELPERS } from '../support/helper-binary.ts'
import { fuzzSpawned } from './spawned.ts'
import { fuzzSwift } from './swift.ts'
import { fuzz, SLICE } from './run.ts'
import { TARGETS } from './targets/index.ts'

const HELP = `npm run fuzz -- [NAME…] [--slice] [--seed N] [--json]

Feeds every parser of the product with changed inputs and looks whether what is promised of it holds: in process
with fast-check; the guest's with Go's own fuzzer, guided by coverage; the Swift helper's in its package's tests; both
helpers' NDJSON over a booted one.
About a million inputs; the same seed gives the same ones (but for Go's, whose slice is its kept inputs alone).

  NAME       only targets whose name contains it (${TARGETS.map(({ id }) => id).join(', ')}, go, swift, spawned)
  --slice    a fortieth of the inputs: a quick look, and a part of npm test
  --seed N   another start than 1
  --json     the report on stdout; it is also kept in out/gates/fuzz.json`

await gate(HELP, { ...COMMON, seed: { type: 'string', default: '1' } }, async (values, names, run) => {
  const since = new Date()
  const seed = wholeNumber('seed', values.seed, 0, 2 ** 30)
  const { slice } = values
  const chosen = (id: string) => names.length === 0 || names.some((name) => id.includes(name))
  const items: Item[] = []
  const add = (item: Item) => {
    items.push(item)
    run.progress(`${MARK[item.outcome]} ${item.id}: ${item.count} inputs (${(item.ms / 1000).toFixed(1)} s)`)
  }
  for (const target of TARGETS)
    if (chosen(target.id)) add(await fuzz(target, { seed, scale: slice ? SLICE : 1 }, run))
  for (const target of GO_TARGETS) if (chosen(target.id)) add(await fuzzGo(target, slice, run))
  if (chosen('swift')) add(await fuzzSwift(seed, slice, run))
  for (const which of HELPERS) if (chosen(`spawned.${which}`)) add(await fuzzSpawned(which, seed, slice, run))
  if (items.length === 0) throw new UsageError(`There is no target like ${names.join(' ')}.`)
  return report(since, { gate: 'fuzz', slice, seed, items })
})
