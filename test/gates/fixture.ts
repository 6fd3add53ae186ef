import { JOBS } from './plan.ts'
import type { Trial } from './facts.ts'
import type { GateReport, Item, Series } from './report.ts'

/** Invented reports, for tests of what is made from reports. No figure here was measured. */

/** Uniform below 1, the same on every run. */
export function random(seed: number): () => number {
  let state = seed
  return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32
}

export const item = (id: string, more: Partial<Item> = {}): Item => ({
  id,
  group: 'Persistence',
  promise: `A promise named ${id}.`,
  outcome: 'held',
  reason: '',
  ms: 1_000,
  count: 1,
  ...more,
})

export const gateReport = (more: Partial<GateReport> = {}): GateReport => ({
  schema: 'bsm-gate/3',
  gate: 'redteam',
  helper: 'qemu',
  accelerator: 'tcg',
  started_at: '2026-01-02T03:04:05.000Z',
  finished_at: '2026-01-02T03:14:05.000Z',
  seconds: 600,
  commit: '0123456789ab',
  code: '0123456789abcdef',
  machine: {
    host_os: 'linux 6.1',
    arch: 'x64',
    cpu: 'An invented CPU',
    cpus: 2,
    memory_mib: 8_192,
    node: 'v20.19.0',
  },
  slice: false,
  asked: [],
  interrupted: false,
  seed: 0,
  items: [item('one')],
  series: [],
  ...more,
})

export const trial = (report: GateReport): Trial => ({
  job: JOBS.find(({ gate, helper }) => gate === report.gate && helper === report.helper) ?? {
    gate: report.gate,
    helper: report.helper,
  },
  report,
})

/** What a tool could have printed to whoever reads of it. */
export const HOSTILE = `</pre><script>alert(1)</script><img src=x onerror=alert(2)> " ' & \u001b[2J\u0000 \u202egnp.exe \ud800 | # \`x\` [a](javascript:alert(3)) <!-- \n</svg> ]]> *b* _c_ ~d~ https://example.org`

const WORDS: Record<string, [number, string]> = {
  Persistence: [22, 'No dispatch finds what another left: a file in its home.'],
  'Escape and privilege': [48, 'A tool cannot open a vsock stream, to the control port or any other.'],
  Exhaustion: [8, 'A fork bomb does not keep the next dispatch from running.'],
  Egress: [12, 'No byte leaves by DNS.'],
  'Output as attack': [21, 'A forged result frame is not taken for the dispatcher’s.'],
  'Lying substrate': [24, 'A disk that was changed between dispatches is a divergence.'],
  Agents: [17, 'A thousand connections do not keep a person from the app.'],
}

function attacks(helper: 'qemu' | 'vz', seed: number): Item[] {
  const next = random(seed)
  return Object.entries(WORDS).flatMap(([group, [n, promise]]) =>
    Array.from({ length: n }, (_, i) => {
      const ms = 10 ** (2.2 + 2.2 * next())
      return item(`${group.toLowerCase().replaceAll(' ', '-')}.${i + 1}`, {
        group,
        promise,
        attacker: ['tool', 'guest', 'host', 'agent'][i % 4] ?? 'tool',
        ms,
        status_ms: Array.from({ length: 20 }, () => 10 ** (0.3 + 0.5 * next() + 0.9 * next() * next())),
        ...(helper === 'vz' &&
          group === 'Output as attack' &&
          i < 5 && { outcome: 'not run', reason: 'the stand-in speaks no QMP', ms: 0, status_ms: [] }),
        ...(helper === 'qemu' && group === 'Agents' && i === 3 && { outcome: 'broken', reason: HOSTILE }),
      })
    }),
  )
}

export function wear(dispatches: number, seed: number): Series[] {
  const next = random(seed)
  const of = (at: (i: number) => number) => Array.from({ length: dispatches }, (_, i) => at(i))
  return [
    { id: 'memory', title: 'Memory of app, helper and VMs', unit: 'MiB', values: of(() => 468 + 9 * next()) },
    { id: 'descriptors', title: 'Their descriptors', unit: '', values: of(() => 264) },
    { id: 'processes', title: 'Their processes', unit: '', values: of(() => 6) },
    { id: 'disk', title: 'State directory, logs aside', unit: 'KiB', values: of((i) => 54_000 + 1.5 * i) },
    {
      id: 'dispatch',
      title: 'A dispatch with its reset',
      unit: 'ms',
      values: of(() => 800 + 300 * next() ** 3),
    },
    { id: 'reset', title: 'Its reset', unit: 'ms', values: of(() => 90 + 90 * next() ** 4) },
    { id: 'status', title: 'A status asked meanwhile', unit: 'ms', values: of(() => 4 + 30 * next() ** 6) },
    {
      id: 'pair',
      title: 'What a dispatch takes more than a fresh app’s',
      unit: 'ms',
      values: of(() => 160 * (next() - 0.5)),
      said: '0.30 % ± 0.50 % in 1000: level',
    },
  ]
}

const soaked = (helper: 'qemu' | 'vz', dispatches: number, seed: number): GateReport =>
  gateReport({
    gate: 'soak',
    helper,
    seconds: 2_400,
    series: wear(dispatches, seed),
    items: ['resets', 'marks', 'audit', 'remains'].map((id) =>
      item(`soak.${id}`, { group: 'Dispatches in a row', ms: 2_400_000, count: 1_210 }),
    ),
  })

/** A run of everything, but for chaos on vz, with one promise broken. */
export function everything(dispatches = 120): Trial[] {
  const fuzzed = gateReport({
    gate: 'fuzz',
    helper: null,
    accelerator: null,
    seed: 1,
    seconds: 512,
    items: [
      ...Array.from({ length: 16 }, (_, i) =>
        item(`target.${i}`, { group: 'TypeScript, in process', count: 60_000, ms: 9_000 + 700 * i }),
      ),
      ...Array.from({ length: 4 }, (_, i) =>
        item(`go.${i}`, { group: 'Go, guided by coverage', count: 150_000, ms: 30_000 + 900 * i }),
      ),
      item('spawned.qemu', { group: 'NDJSON of a running helper', count: 60_051, ms: 61_000 }),
    ],
  })
  const crashed = gateReport({
    gate: 'chaos',
    seconds: 1_900,
    items: Array.from({ length: 30 }, (_, i) =>
      item(`kill.${i}`, { group: i % 2 ? 'kill -9' : 'Disk full', count: 5, ms: 20_000 + 900 * i }),
    ),
  })
  const reports = [
    fuzzed,
    gateReport({ items: attacks('qemu', 1) }),
    gateReport({ helper: 'vz', items: attacks('vz', 2) }),
    crashed,
    soaked('qemu', dispatches, 3),
    soaked('vz', dispatches, 4),
  ]
  return JOBS.map((job) => {
    const report = reports.find(({ gate, helper }) => gate === job.gate && helper === job.helper)
    return report === undefined ? { job, report: null, why: 'it left no report' } : { job, report }
  })
}
