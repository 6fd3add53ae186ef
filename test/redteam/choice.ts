import { UsageError } from '../gates/command.ts'
import type { Which } from '../support/helper-binary.ts'
import { OF_THE_HELPER, type Probe } from './probe.ts'
import { PROBES } from './probes/index.ts'

/** Probes by a pattern on id, group and promise; of a slice on vz only what the helper has a part in. */
export function chosen({ which, slice, only }: { which: Which; slice: boolean; only: string }): Probe[] {
  const pattern = new RegExp(only, 'i')
  const probes = PROBES.filter(
    ({ id, group, promise, slice: isQuick }) =>
      (!slice || (isQuick === true && (which === 'qemu' || OF_THE_HELPER.includes(group)))) &&
      [id, group, promise].some((text) => pattern.test(text)),
  )
  if (probes.length === 0) throw new UsageError(`There is no probe like ${only}.`)
  return probes
}
