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
import { inWords, LEAST_SAMPLES, slopeOf, slopeOfPairs, trendOf, type Pair, type Slope } from './slope.ts'

export type Length = {
  /** Dispatches over which nothing may grow. */
  dispatches: number
  /** Dispatches before them, after which nothing grows any more that is meant to. */
  settling: number
  /** Dispatches of a fresh app, begun after all those, before its time is compared with that of the worn one. */
  warming: number
  /** Dispatches of either app that are compared. */
  pairs: number
}
/** Of both apps. */
export const inAll = ({ settling, dispatches, warming, pairs }: Length): number =>
  settling + dispatches + warming + 2 * pairs

export type Options = Length & { which: Which; image: GuestImage }

export type Soaked = { items: Item[]; series: Series[]; accelerator: string | null }

/** Of one dispatch, before it: with everything at rest. */
const LEVELS = [
  { id: 'memory', title: 'Memory of app, helper and VMs, programs aside', unit: 'MiB' },
  { id: 'descriptors', title: 'Their descriptors', unit: '' },
  { id: 'processes', title: 'Their processes', unit: '' },
  { id: 'disk', title: 'State directory, logs aside', unit: 'KiB' },
] as const
/** Of itself. What the machine does in an hour is in these: their slopes are shown, and pairs are what is judged. */
const TIMES = [
  { id: 'dispatch', title: 'A dispatch with its reset', unit: 'ms' },
  { id: 'reset', title: 'Its reset', unit: 'ms' },
  { id: 'status', title: 'A status asked meanwhile', unit: 'ms' },
] as const
type Level = (typeof LEVELS)[number]['id']
type Time = (typeof TIMES)[number]['id']
type Sample = Record<Level | Time, number>

/** KiB on the disk; the audit log and the app's log are append-only by design, and bounded elsewhere. */
function diskKib(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'logs' ? sum : sum + diskKib(path)
    return entry.name.startsWith('audit.jsonl') ? sum : sum + (lstatSync(path).blocks * 512) / 1024
  }, 0)
}

function atRest(app: AppProcess): Record<Level, number> {
  const pids = app.processes.map(({ pid }) => pid)
  return {
    memory: ownMemoryMib(pids),
    descriptors: pids.reduce((sum, pid) => sum + openFiles(pid).length, 0),
    processes: pids.length,
    disk: diskKib(app.scratch.stateDir),
  }
}

/** Dispatch `n`, from rest: looks for every mark, then leaves those of its turn. */
async function dispatch({ app, control }: Subject, n: number): Promise<{ sample: Sample; found: string[] }> {
  await standbyReady(control)
  const rest = atRest(app)
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
  const times = { dispatch: performance.now() - since, reset: verdict.reset_ms, status }
  return { sample: { ...rest, ...times }, found: foundIn(response.stdout) }
}

/** An app in a world of its own. */
class Subject implements AsyncDisposable {
  readonly #scratch: Scratch
  readonly app: AppProcess
  readonly control: Control
  readonly accelerator: string | null

  private constructor(scratch: Scratch, app: AppProcess, control: Control, accelerator: string | null) {
    this.#scratch = scratch
    this.app = app
    this.control = control
    this.accelerator = accelerator
  }

  static async start({ which, image }: Options): Promise<Subject> {
    const scratch = new Scratch('soak')
    const app = await AppProcess.start(scratch, image, { env: { BSM_HELPER: which } })
    try {
      await app.ready()
      const control = await app.control()
      return new Subject(scratch, app, control, (await standbyReady(control)).helper?.accelerator ?? null)
    } catch (error) {
      await app.dispose()
      scratch.remove()
      throw error
    }
  }

  /** Ends as a person ends it, and names the processes that are left. */
  async end(): Promise<string[]> {
    await this.app.kill('SIGTERM')
    return (await orphans(this.#scratch)).map(({ pid, command }) => `process ${pid} ${command}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.control[Symbol.asyncDispose]()
    await this.app.dispose()
    this.#scratch.remove()
  }
}

/** Dispatches in a row through the app, each of which looks for what those before it left, and leaves its own. */
export async function soak(options: Options, run: Run): Promise<Soaked> {
  const { which, dispatches, settling, warming, pairs } = options
  const began = performance.now()
  const samples: Sample[] = []
  const compared: Pair[] = []
  const found: string[] = []
  let done = 0
  let failure = ''
  let accelerator: string | null = null
  let audit = { ok: false, message: 'it was not looked at' }
  const left: string[] = []

  const one = async (subject: Subject, n: number): Promise<Sample> => {
    const { sample, found: marks } = await dispatch(subject, n)
    found.push(...marks.map((id) => `${id} in dispatch ${n}`))
    done += 1
    if (done % 50 === 0)
      run.progress(`• ${which}: ${done} dispatches, each reset verified, ${found.length} marks`)
    return sample
  }
  const row = async (subject: Subject, length: number, seen: (sample: Sample, n: number) => void) => {
    for (let n = 1; n <= length && !run.signal.aborted; n += 1) seen(await one(subject, n), n)
  }
  const compare = async (worn: Subject) => {
    await using fresh = await Subject.start(options)
    await row(fresh, warming, () => undefined)
    for (let n = 1; n <= pairs && !run.signal.aborted; n += 1) {
      const half = async (subject: Subject): Promise<number> => {
        await standbyReady((subject === worn ? fresh : worn).control)
        return (await one(subject, n)).dispatch
      }
      // Whichever comes second finds the machine as the first left it: they take turns.
      const before = n % 2 === 0 ? await half(worn) : null
      const other = await half(fresh)
      compared.push({ worn: before ?? (await half(worn)), fresh: other })
    }
    left.push(...(await fresh.end()))
  }
  try {
    await using worn = await Subject.start(options)
    accelerator = worn.accelerator
    await row(worn, settling + dispatches, (sample, n) => {
      if (n > settling) samples.push(sample)
    })
    if (!run.signal.aborted) await compare(worn)
    audit = await worn.control.verifyAudit()
    left.push(...(await worn.end()))
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error)
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
  const wanted = inAll(options)
  const promised = (id: string, promise: string, broken: string): Item => {
    if (broken !== '') return item(id, promise, 'broken', broken)
    return done === wanted
      ? item(id, promise, 'held', '')
      : item(id, promise, 'not run', `cut off after ${done} of ${wanted} dispatches`)
  }
  const valuesOf = (id: Level | Time): number[] => samples.map((sample) => sample[id])
  const levels = LEVELS.map((level) => ({ ...level, values: valuesOf(level.id) }))
  const times = TIMES.map((time) => {
    const values = valuesOf(time.id)
    return { ...time, values, ...(values.length < LEAST_SAMPLES ? {} : { said: inWords(slopeOf(values)) }) }
  })
  const wear =
    compared.length < LEAST_SAMPLES ? null : slopeOfPairs(compared, settling + dispatches - warming)
  const pair: Series = {
    id: 'pair',
    title: 'What a dispatch takes more than a fresh app’s',
    unit: 'ms',
    values: compared.map(({ worn, fresh }) => worn - fresh),
    said: wear === null ? `${compared.length} pairs, too few` : `${inWords(wear)}: ${trendOf(wear)}`,
  }
  return {
    accelerator,
    series: [...levels, ...times, pair],
    items: [
      promised('resets', 'Every dispatch runs, and every reset is verified.', failure),
      promised('marks', 'No dispatch finds a mark of an earlier one.', found.join(', ')),
      promised('audit', 'The audit log verifies afterwards.', failure || (audit.ok ? '' : audit.message)),
      promised('remains', 'Once the app has ended, no process of it is left.', failure || left.join(', ')),
      ...levels.map(({ id, title, unit, values }) => {
        const slope = values.length < LEAST_SAMPLES ? null : slopeOf(values)
        return item(
          `level.${id}`,
          `${title}: no slope over dispatches.`,
          ...levelOf(slope, unit, `${values.length} dispatches`),
        )
      }),
      item(
        'level.dispatch',
        'A dispatch with its reset takes no longer after many others than after few: no slope.',
        ...levelOf(wear, 'ms', `${compared.length} pairs`),
      ),
    ],
  }
}

function levelOf(slope: Slope | null, unit: string, had: string): [Item['outcome'], string] {
  if (slope === null) return ['not run', `a slope needs ${LEAST_SAMPLES}, and there were ${had}`]
  const trend = trendOf(slope)
  const outcome = ({ level: 'held', falls: 'held', grows: 'broken', undecided: 'not run' } as const)[trend]
  return [outcome, `${trend}: mean ${slope.mean.toFixed(1)} ${unit}, ${inWords(slope)} dispatches`]
}
