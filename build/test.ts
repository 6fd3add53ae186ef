import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { root } from './root.ts'
import { runForCode } from './run.ts'

type Outcome = { passed: number; failed: number; skipped: number }
type Stage = { name: string; run: () => Promise<Outcome> }

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

const vitest = (project: 'unit' | 'real', filters: string[]): Stage => ({
  name: project === 'unit' ? 'unit' : 'conformance, real VM, browser',
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
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ]
    const { code } = await runForCode(bin('vitest'), [...args, ...filters], {
      show: true,
      deadlineMs: VITEST_DEADLINE_MS,
    })
    try {
      const result = VitestReport.parse(JSON.parse(readFileSync(report, 'utf8')))
      return {
        passed: result.numPassedTests,
        // A file that does not load, or an unhandled error, fails without a failed test.
        failed: result.numFailedTests === 0 && (!result.success || code !== 0) ? 1 : result.numFailedTests,
        skipped: result.numPendingTests,
      }
    } catch {
      return { passed: 0, failed: 1, skipped: 0 }
    }
  },
})

/** Runs every stage, also after a failed one, and ends with a table and one line of totals. */
export async function runTests(filters: string[]): Promise<number> {
  const stages: Stage[] =
    filters.length > 0
      ? [vitest('unit', filters), vitest('real', filters)]
      : [
          whole('lint', bin('eslint'), ['.']),
          whole('formatting', bin('prettier'), ['--check', '--log-level=warn', '.']),
          whole('types', bin('tsc'), ['--noEmit', '-p', 'tsconfig.json']),
          whole('types, renderer', bin('tsc'), ['--noEmit', '-p', 'renderer/tsconfig.json']),
          whole('go vet guest', 'go', ['vet', './...'], join(root, 'guest')),
          goTests('guest'),
          whole('go vet launcher', 'go', ['vet', './...'], join(root, 'helper/qemu/launcher')),
          goTests('helper/qemu/launcher'),
          vitest('unit', []),
          vitest('real', []),
        ]
  const rows: { name: string; outcome: Outcome; seconds: number }[] = []
  for (const stage of stages) {
    console.error(`\n▸ ${stage.name}`)
    const since = performance.now()
    const outcome = await stage.run()
    rows.push({ name: stage.name, outcome, seconds: (performance.now() - since) / 1000 })
  }
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
