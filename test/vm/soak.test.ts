import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Helper } from '../support/helper.ts'
import { commandLine, openFiles, residentBytes } from '../support/processes.ts'
import { useBench } from './bench.ts'

const DISPATCHES = Number(process.env['BSM_SOAK'] ?? 30)
const DEADLINE_MS = 40_000 + DISPATCHES * 8_000
/** The first dispatches warm caches and compile code; growth is judged after them. */
const WARM_UP = 10

type Sample = { descriptors: number; processes: number; files: number; residentMib: number }

function sample(helper: Helper): Sample {
  const processes = helper.processes
  const chains = readdirSync(helper.scratch.path('state', 'evidence')).length
  return {
    descriptors: openFiles(helper.pid).length,
    processes: processes.filter(({ pid }) => commandLine(pid) !== '').length,
    files: helper.scratch.list().length - chains,
    residentMib: residentBytes(helper.pid) / 2 ** 20,
  }
}

describe('soak', () => {
  const bench = useBench()

  it(
    `${DISPATCHES} dispatches, each with its reset, grow nothing`,
    bench.own(async (context) => {
      const helper = await context.own()
      const samples: Sample[] = []
      const epochs = new Set<number>()
      for (let n = 0; n < DISPATCHES; n += 1) {
        const response = await helper.sh(
          `echo ${n}; head -c 200000 /dev/zero; echo x > ~/file${n}; ls -A ~ | wc -l >&2`,
        )
        expect(response.error, `dispatch ${n}`).toBeUndefined()
        expect(response.exit_code).toBe(0)
        if (n === 0) expect(response.stderr).toBeTruthy()
        epochs.add(response.epoch ?? -1)
        const reset = await helper.reset()
        expect(reset.failed, `reset ${n}`).toEqual([])
        expect(reset.verification_passed, `reset ${n}`).toBe(true)
        await helper.standbyReady()
        samples.push(sample(helper))
        helper.forget()
      }
      expect(epochs.size).toBe(DISPATCHES)
      const [first, last] = [samples[Math.min(WARM_UP, DISPATCHES - 1)], samples.at(-1)]
      if (!first || !last) throw new Error('nothing was sampled')
      expect(last.descriptors, JSON.stringify(samples)).toBeLessThanOrEqual(first.descriptors + 2)
      expect(last.processes).toBeLessThanOrEqual(first.processes)
      expect(last.files).toBe(first.files)
      expect(last.residentMib).toBeLessThan(first.residentMib + 40 + DISPATCHES / 10)
    }, DEADLINE_MS),
    DEADLINE_MS + 60_000,
  )
})
