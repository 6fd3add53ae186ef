import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { until } from '../support/deadline.ts'
import type { Helper } from '../support/helper.ts'
import { commandLine, openFiles, residentBytes } from '../support/processes.ts'
import { HELPERS } from '../support/helper-binary.ts'
import { useBench } from './bench.ts'

const DISPATCHES = Number(process.env['BSM_SOAK'] ?? 10)
const DEADLINE_MS = 120_000 + DISPATCHES * 20_000
/** The first dispatches warm caches and compile code; what is left over is judged against what there was after them. */
const WARM_UP = 5
/** What was given up may still be closing when the next standby is ready. */
const SETTLE_MS = 15_000

type Sample = { descriptors: number; processes: number; files: number }

function sample(helper: Helper): Sample {
  const evidence = helper.scratch.list().filter(({ path }) => path.startsWith('state/evidence'))
  return {
    descriptors: openFiles(helper.pid).length,
    processes: helper.processes.filter(({ pid }) => commandLine(pid) !== '').length,
    files: helper.scratch.list().length - evidence.length,
  }
}

const residentMib = (helper: Helper) => residentBytes(helper.pid) / 2 ** 20

describe.each(HELPERS)('soak of the %s helper', (which) => {
  const bench = useBench('product', which)

  it(
    `${DISPATCHES} dispatches, each with its reset, leave nothing more than there was`,
    bench.own(async (context) => {
      const helper = await context.own()
      await helper.standbyReady()
      let start = sample(helper)
      const memory: number[] = []
      const epochs = new Set<number>()
      for (let n = 0; n < DISPATCHES; n += 1) {
        const response = await helper.sh(
          `echo ${n}; head -c 200000 /dev/zero; echo x > ~/file${n}; ls -A ~ | wc -l >&2`,
        )
        expect(response.error, `dispatch ${n}`).toBeUndefined()
        expect([response.exit_code, response.stderr.trim()]).toEqual([0, '1'])
        epochs.add(response.epoch ?? -1)
        const reset = await helper.reset()
        expect(reset.failed, `reset ${n}`).toEqual([])
        expect(reset.verification_passed, `reset ${n}`).toBe(true)
        await helper.standbyReady()
        if (n === WARM_UP) start = sample(helper)
        memory.push(residentMib(helper))
        helper.forget()
      }
      expect(epochs.size).toBe(DISPATCHES)
      const isBack = (now: Sample) =>
        now.descriptors <= start.descriptors && now.processes <= start.processes && now.files <= start.files
      await until(SETTLE_MS, 'the start', () => isBack(sample(helper))).catch(() => {
        expect(sample(helper)).toEqual(start)
      })
      expect(readdirSync(helper.scratch.path('state', 'evidence')).length).toBeLessThanOrEqual(
        Math.min(DISPATCHES, 200) + 1,
      )
      const settled = memory[Math.min(WARM_UP, DISPATCHES - 1)] ?? 0
      expect(memory.at(-1)).toBeLessThan(settled + 40 + DISPATCHES / 10)
      expect((await helper.shutdown()).code).toBe(0)
      expect(helper.stderr, 'a sanitizer, where one is built in, has seen nothing').not.toMatch(/Sanitizer/)
    }, DEADLINE_MS),
    DEADLINE_MS + 60_000,
  )
})
