import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as z from 'zod'
import { SetupError } from './progress.ts'
import { root } from './root.ts'
import { runForCode } from './run.ts'
import { buildVzHelper, testVzHelper } from './vz-helper.ts'

type Outcome = { passed: number; failed: number; skipped: number }
type Stage = { name: string; run: () => Promise<Outcome> }
/** Stages that follow each other, beside those of the other lanes. */
type Lane = Stage[]

const NOTHING: Outcome = { passed: 0, failed: 0, skipped: 0 }

const bin = (name: string) => join(root, 'node_modules/.bin', name)

/** A stage that passes or fails as a whole and counts as one. */
const whole = (name: string, command: string, args: string[], cwd = root): Stage => ({
  name,
  run: async () => {
    const { code, output } = await runForCode(command, args, { cwd })
    if (code !== 0) console.error(output)
    return code === 0 ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 }
  },
})

const GoTestEvent = z.object({
  Action: z.string(),
  Test: z.string().optional(),
  Output: z.string().optional(),
})

const goTests = (folder: string): Stage => ({
  name: `go test ${folder}`,
  run: async () => {
    const { code, output } = await runForCode('go', ['test', '-json', './...'], { cwd: join(root, folder) })
    const outcome = { passed: 0, failed: 0, skipped: 0 }
    for (const line of output.split('\n')) {
      if (!line.startsWith('{')) {
        if (code !== 0 && line !== '') console.error(line)
        continue
      }
      const event = GoTestEvent.parse(JSON.parse(line))
      if (code !== 0 && event.Output) process.stderr.write(event.Output)
      if (event.Test === undefined) continue
      if (event.Action === 'pass') outcome.passed += 1
      if (event.Action === 'fail') outcome.failed += 1
      if (event.Action === 'skip') outcome.skipped += 1
    }
    // A package that does not build has no test to fail.
    if (code !== 0 && outcome.failed === 0) outcome.failed = 1
    return outcome
  },
})

const VitestReport = z.object({
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  numPendingTests: z.int(),
  success: z.boolean(),
})

/** Each test has a deadline of its own; this one is for a machine that is busy with other things too. */
const VITEST_DEADLINE_MS = 75 * 60_000

const PROJECTS = {
  unit: 'unit',
  packaging: 'packaging',
  real: 'conformance, real VM, browser',
}

const vitest = (project: keyof typeof PROJECTS, filters: string[]): Stage => ({
  name: PROJECTS[project],
  run: async () => {
    const report = join(root, 'out', `vitest-${project}.json`)
    mkdirSync(join(root, 'out'), { recursive: true })
    rmSync(report, { force: true })
    const args = [
      'run',
      // A pattern may match in one project only; that nothing ran at all is seen in the total.
      '--passWithNoTests',
      '--project',
      project,
      ...(project === 'real' ? ['--maxWorkers=2'] : []),
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ]
    // Boots that are saved are the same for every file.
    const goldens = mkdtempSync(join(tmpdir(), 'bsm-goldens-'))
    try {
      const { code } = await runForCode(bin('vitest'), [...args, ...filters], {
        show: true,
        deadlineMs: VITEST_DEADLINE_MS,
        env: { BSM_TEST_GOLDENS: goldens },
      })
      const result = VitestReport.parse(JSON.parse(readFileSync(report, 'utf8')))
      return {
        passed: result.numPassedTests,
        // A file that does not load, or an unhandled error, fails without a failed test.
        failed: result.numFailedTests === 0 && (!result.success || code !== 0) ? 1 : result.numFailedTests,
        skipped: result.numPendingTests,
      }
    } catch {
      return { passed: 0, failed: 1, skipped: 0 }
    } finally {
      rmSync(goldens, { recursive: true, force: true })
    }
  },
})

const vzBuild = (): Stage => ({
  name: 'vz helper, build',
  run: async () => {
    await buildVzHelper(quiet)
    return { ...NOTHING, passed: 1 }
  },
})

const vzPackage = (): Stage => ({
  name: "vz helper, the package's tests",
  run: () => testVzHelper(quiet),
})

/** Another lane is talking. */
const quiet = (): void => undefined

/**
 * First two lanes on two cores: the Swift toolchain, what it builds and that package's own tests beside all that keeps
 * one core busy. Then real VMs, with both cores.
 */
function everything(): Lane[][] {
  const first: Lane[] = [
    [
      whole('lint', bin('eslint'), ['.']),
      whole('formatting', bin('prettier'), ['--check', '--log-level=warn', '.', '!out']),
      whole('types', bin('tsc'), ['--noEmit', '-p', 'tsconfig.json']),
      whole('types, renderer', bin('tsc'), ['--noEmit', '-p', 'renderer/tsconfig.json']),
      whole('go vet guest', 'go', ['vet', './...'], join(root, 'guest')),
      goTests('guest'),
      whole('go vet launcher', 'go', ['vet', './...'], join(root, 'helper/qemu/launcher')),
      goTests('helper/qemu/launcher'),
      vitest('unit', []),
      vitest('packaging', []),
    ],
    [vzBuild(), vzPackage()],
  ]
  return [first, [[vitest('real', [])]]]
}

/** The files that match. Swift is brought and built for those alone that run the vz helper, and before them. */
async function chosen(filters: string[]): Promise<Lane> {
  const list = ['list', '--filesOnly', '--json', '--project', 'real', '--passWithNoTests', ...filters]
  const { code, output } = await runForCode(bin('vitest'), list)
  const files = code === 0 ? VitestFiles.parse(JSON.parse(output)) : []
  const isVz = files.some(({ file }) => /'vz'|\bHELPERS\b/.test(readFileSync(file, 'utf8')))
  return [
    vitest('unit', filters),
    vitest('packaging', filters),
    ...(isVz ? [vzBuild()] : []),
    vitest('real', filters),
  ]
}

const VitestFiles = z.array(z.object({ file: z.string() }))

/** A stage that could not even be run has failed. */
async function failed(stage: Stage): Promise<Outcome> {
  try {
    return await stage.run()
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    console.error(error.message)
    return { passed: 0, failed: 1, skipped: 0 }
  }
}

/** The packaging tests alone: `npm run dist:check`. */
export const checkPackaging = (filters: string[]): Promise<number> =>
  runStages([[[vitest('packaging', filters)]]])

export const runTests = async (filters: string[]): Promise<number> =>
  runStages(filters.length > 0 ? [[await chosen(filters)]] : everything())

/** Runs every stage, also after a failed one, and ends with a table and one line of totals. */
async function runStages(parts: Lane[][]): Promise<number> {
  const rows: { name: string; outcome: Outcome; seconds: number }[] = []
  const runLane = async (stages: Lane): Promise<void> => {
    for (const stage of stages) {
      console.error(`\n▸ ${stage.name}`)
      const since = performance.now()
      const outcome = await failed(stage)
      rows.push({ name: stage.name, outcome, seconds: (performance.now() - since) / 1000 })
    }
  }
  for (const inLanes of parts) await Promise.all(inLanes.map(runLane))
  const total = { passed: 0, failed: 0, skipped: 0 }
  console.log('\nSummary')
  for (const { name, outcome, seconds } of rows) {
    total.passed += outcome.passed
    total.failed += outcome.failed
    total.skipped += outcome.skipped
    const mark = outcome.failed === 0 ? '✓' : '✗'
    const failed = outcome.failed === 0 ? '' : `, ${outcome.failed} failed`
    const skipped = outcome.skipped === 0 ? '' : `, ${outcome.skipped} skipped`
    console.log(`${mark} ${name}: ${outcome.passed} passed${failed}${skipped} (${seconds.toFixed(1)} s)`)
  }
  const skipped = total.skipped === 0 ? '' : `, ${total.skipped} skipped`
  console.log(`${total.passed} passed, ${total.failed} failed${skipped}`)
  return total.failed === 0 && total.passed > 0 ? 0 : 1
}
