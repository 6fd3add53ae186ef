import { expect, it } from 'vitest'
import { runForCode } from '../../build/run.ts'

const DEADLINE_MS = 20 * 60_000

it(
  'a slice of every gate holds',
  async () => {
    const args = ['--import', 'tsx', 'test/gates/main.ts', '--slice', '--fresh']
    const { code, output } = await runForCode(process.execPath, args, { deadlineMs: DEADLINE_MS })
    expect(code, output).toBe(0)
    // What is seen of it in the log of a run that passed.
    console.log(output.slice(-3_000))
  },
  DEADLINE_MS,
)
