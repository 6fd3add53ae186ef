import type { Figures } from './measure.ts'

/** What is to be reached, as ratios of one run: milliseconds of a shared machine say little alone. */
export type Target = {
  what: string
  ratio: (f: Figures) => number
  bound: number
  wants: 'at least' | 'at most'
}

export const TARGETS: readonly Target[] = [
  {
    what: 'verified reset against the cold boot, times faster',
    ratio: (f) => f.cold_boot_ms / f.reset_ms,
    bound: 40,
    wants: 'at least',
  },
  {
    what: 'verified reset against loadvm, times faster',
    ratio: (f) => f.loadvm_ms / f.reset_ms,
    bound: 6,
    wants: 'at least',
  },
  {
    what: 'cold boot against the bare one',
    ratio: (f) => f.cold_boot_ms / f.raw_cold_boot_ms,
    bound: 1.3,
    wants: 'at most',
  },
  {
    what: 'first exec after a reset against one on a warm VM',
    ratio: (f) => f.first_exec_ms / f.exec_echo_ms,
    bound: 1.5,
    wants: 'at most',
  },
  {
    what: 'reset back to back against the cold boot, times faster',
    ratio: (f) => f.cold_boot_ms / f.reset_back_to_back_ms,
    bound: 4,
    wants: 'at least',
  },
  {
    what: 'p95 of reset against its p50',
    ratio: (f) => f.reset_p95_ms / f.reset_ms,
    bound: 2.5,
    wants: 'at most',
  },
  {
    what: 'round trip through all layers against the bare bridge',
    ratio: (f) => f.port_rtt_ms / f.raw_rtt_ms,
    bound: 5,
    wants: 'at most',
  },
  ...(['restore', 'verify', 'exec'] as const).map((phase): Target => ({
    what: `${phase} of the Swift helper against the QEMU helper's`,
    ratio: (f) => f.vz_helper_ms[phase] / f.qemu_helper_ms[phase],
    bound: 1.5,
    wants: 'at most',
  })),
  { what: 'idle, % of a core', ratio: (f) => f.idle_cpu_percent, bound: 1, wants: 'at most' },
]

export const isReached = (target: Target, figures: Figures): boolean => {
  const ratio = target.ratio(figures)
  return target.wants === 'at least' ? ratio >= target.bound : ratio <= target.bound
}
