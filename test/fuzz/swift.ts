import { SetupError } from '../../build/progress.ts'
import { testVzHelper } from '../../build/vz-helper.ts'
import type { Run } from '../gates/command.ts'
import type { Item } from '../gates/report.ts'

/** For each parser, but for the two that are fed by a file: a tenth. */
const INPUTS = 40_000

/** The Swift helper's parsers, in the package's own test process (`helper/vz/Tests/…/FuzzTests.swift`). */
export async function fuzzSwift(seed: number, slice: boolean, run: Run): Promise<Item> {
  const since = performance.now()
  const item = (outcome: Item['outcome'], reason: string, count = 0): Item => ({
    id: 'swift',
    group: 'Swift, in process',
    promise:
      'Each parser of the Swift helper refuses a changed input as the contract has it, or what it read is consistent.',
    outcome,
    reason,
    ms: performance.now() - since,
    count,
  })
  // A slice does not wait minutes for a toolchain; `npm test` runs the package's own tests, and these in them.
  if (slice) return item('not run', 'a slice leaves it to the package’s own tests (npm run helper:vz:test)')
  try {
    const { passed, failed, output } = await testVzHelper(run.progress, {
      filters: ['BSMHelperCoreTests.FuzzTests'],
      env: { BSM_FUZZ_SEED: String(seed), BSM_FUZZ_INPUTS: String(INPUTS) },
    })
    const count = fuzzed(output)
    if (failed > 0) return item('broken', output.slice(-1_500), count)
    return passed === 0 || count === 0 ? item('not run', 'nothing was run') : item('held', '', count)
  } catch (error) {
    if (error instanceof SetupError) return item('not run', error.message)
    throw error
  }
}

/** What the tests say that they ran: `fuzzed 500 inputs`. */
const fuzzed = (output: string): number =>
  [...output.matchAll(/^fuzzed (\d+) inputs$/gm)].reduce((sum, [, n]) => sum + Number(n), 0)
