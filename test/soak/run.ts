import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Control } from '../../client/index.ts'
import { ownMemoryMib } from '../bench/footprint.ts'
import type { Run } from '../gates/command.ts'
import type { Item, Series } from '../gates/report.ts'
import { AppProcess, standbyReady } from '../support/app.ts'
import { orphans } from '../support/helper.ts'
import type { Which } from '../support/helper-binary.ts'
import type { GuestImage } from '../support/image.ts'
import { openFiles } from '../support/processes.ts'
import { Scratch } from '../support/scratch.ts'
import { foundIn, leaveAll, LOOK, TURNS } from './marks.ts'
import { LEAST_SAMPLES, slopeOf, trendOf } from './slope.ts'

export type Options = {
  which: Which
  image: GuestImage
  /** Dispatches that are judged. */
  dispatches: number
  /** Dispatches before them, after which nothing grows any more that is meant to. */
  settling: number
}

export type Soaked = { items: Item[]; series: Series[]; accelerator: string | null }

/** What is seen of one dispatch: before it, with everything at rest, and of itself. */
const FIGURES = [
  { id: 'memory', title: 'Memory of app, helper and VMs, programs aside', unit: 'MiB' },
  { id: 'descriptors', title: 'Their descriptors', unit: '' },
  { id: 'processes', title: 'Their processes', unit: '' },
  { id: 'disk', title: 'State directory, logs aside', unit: 'KiB' },
  { id: 'dispatch', title: 'A dispatch with its reset', unit: 'ms' },
  { id: 'reset', title: 'Its reset', unit: 'ms' },
  { id: 'status', title: 'A status asked meanwhile', unit: 'ms' },
] as const
type Figure = (typeof FIGURES)[number]['id']
/**
 * Shown with their slopes, and not judged: a reset varies by 27 %, a status by 70 %, so that only five and ten thousand
 * dispatches would bound them to one per cent. The reset is in the time of its dispatch, which varies by 5 %.
 */
const PARTS: readonly Figure[] = ['reset', 'status']
type Sample = Record<Figure, number>

/** KiB on the disk; the audit log and the app's log are append-only by design, and bounded elsewhere. */
function diskKib(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'logs' ? sum : sum + diskKib(path)
    return entry.name.startsWith('audit.jsonl') ? sum : sum + (lstatSync(path).blocks * 512) / 1024
  }, 0)
}

function atRest(app: AppProcess): Pick<Sample, 'memory' | 'descriptors' | 'processes' | 'disk'> {
  const pids = app.processes.map(({ pid }) => pid)
  return {
    memory: ownMemoryMib(pids),
    descriptors: pids.reduce((sum, pid) => sum + openFiles(pid).length, 0),
    processes: pids.length,
    disk: diskKib(app.scratch.stateDir),
  }
}

/** Dispatch `n`: looks for every mark, then leaves those of its turn. */
async function dispatch(control: Control, n: number) {
  const { tool, marks } = TURNS[n % TURNS.length] ?? TURNS[0]
  const since = performance.now()
  const running = control.exec(tool, { command: `${LOOK}\n${leaveAll(marks)}` })
  const asked = performance.now()
  await control.status()
  const status = performance.now() - asked
  const response = await running
  const verdict = response.sandbox_reset_state
  if (response.exit_code !== 0 || verdict?.verification_passed !== true)
    throw new Error(`dispatch ${n}: ${JSON.stringify(response).slice(0, 1_500)}`)
  const figures = { dispatch: performance.now() - since, reset: verdict.reset_ms, status }
  return { figures, found: foundIn(response.stdout) }
}

/** Dispatches in a row through the app, each of which looks for what those before it left, and leaves its own. */
export async function soak(options: Options, run: Run): Promise<Soaked> {
  const { which, image, dispatches, settling } = options
  const began = performance.now()
  const scratch = new Scratch('soak')
  const app = await AppProcess.start(scratch, image, { env: { BSM_HELPER: which } })
  const samples: Sample[] = []
  const found: string[] = []
  let done = 0
  let failure = ''
  let accelerator: string | null = null
  let audit = { ok: false, message: 'it was not looked at' }
  let left: string[] = []
  try {
    await app.ready()
    await using control = await app.control()
    accelerator = (await standbyReady(control)).helper?.accelerator ?? null
    for (let n = 1; n <= settling + dispatches && !run.signal.aborted; n += 1) {
      await standbyReady(control)
      const rest = atRest(app)
      const one = await dispatch(control, n)
      found.push(...one.found.map((id) => `${id} in dispatch ${n}`))
      done = n
      if (n > settling) samples.push({ ...rest, ...one.figures })
      if (n % 50 === 0)
        run.progress(`• ${which}: ${n} dispatches, each reset verified, ${found.length} marks`)
    }
    audit = await control.verifyAudit()
    await app.kill('SIGTERM')
    left = (await orphans(scratch)).map(({ pid, command }) => `process ${pid} ${command}`)
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error)
  } finally {
    await app.dispose()
    scratch.remove()
  }

  const ms = performance.now() - began
  const item = (id: string, promise: string, outcome: Item['outcome'], reason: string): Item => ({
    id: `soak.${id}`,
    group: 'Dispatches in a row',
    promise,
    outcome,
    reason,
    ms,
    // The same dispatches show every one of these: they are counted once.
    count: id === 'resets' ? done : 1,
  })
  const wanted = settling + dispatches
  const promised = (id: string, promise: string, broken: string): Item => {
    if (broken !== '') return item(id, promise, 'broken', broken)
    return done === wanted
      ? item(id, promise, 'held', '')
      : item(id, promise, 'not run', `cut off after ${done} of ${wanted} dispatches`)
  }
  const series = FIGURES.map(({ id, title, unit }) => ({
    id,
    title,
    unit,
    values: samples.map((sample) => sample[id]),
  }))
  return {
    accelerator,
    series,
    items: [
      promised('resets', 'Every dispatch runs, and every reset is verified.', failure),
      promised('marks', 'No dispatch finds a mark of an earlier one.', found.join(', ')),
      promised('audit', 'The audit log verifies afterwards.', failure || (audit.ok ? '' : audit.message)),
      promised('remains', 'Once the app has ended, no process of it is left.', failure || left.join(', ')),
      ...series
        .filter(({ id }) => !PARTS.includes(id))
        .map((one) => item(`level.${one.id}`, `${one.title}: no slope over dispatches.`, ...levelOf(one))),
    ],
  }
}

function levelOf({ unit, values }: Series): [Item['outcome'], string] {
  if (values.length < LEAST_SAMPLES)
    return ['not run', `a slope needs ${LEAST_SAMPLES} dispatches, and there were ${values.length}`]
  const slope = slopeOf(values)
  const percent = (share: number): string => `${(share * 100).toFixed(2)} %`
  const said = `mean ${slope.mean.toFixed(1)} ${unit}, ${percent(slope.perThousand)} ± ${percent(slope.margin)} in 1000 dispatches`
  const trend = trendOf(slope)
  const outcome = ({ level: 'held', falls: 'held', grows: 'broken', undecided: 'not run' } as const)[trend]
  return [outcome, `${trend}: ${said}`]
}
