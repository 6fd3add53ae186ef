import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HELPERS, type Which } from '../support/helper-binary.ts'
import { Arena } from './arena.ts'
import { DEFAULT_BUDGET_MS, OF_THE_HELPER, type Group, type Probe } from './probe.ts'
import { PROBES } from './probes/index.ts'

const SETUP_MS = 120_000
const budgetOf = ({ budgetMs = DEFAULT_BUDGET_MS }: Probe): number => budgetMs + SETUP_MS

/** What is run here of each helper; the slice of all groups is a test of its own (`../gates/slice.test.ts`). */
const HERE: Record<Which, readonly Group[]> = {
  qemu: [
    'Persistence',
    'Escape and privilege',
    'Exhaustion',
    'Egress',
    'Lying substrate',
    'Tampered snapshots',
  ],
  vz: OF_THE_HELPER,
}

describe.each(HELPERS)('the red team against the %s helper', (which) => {
  let arena: Arena
  beforeAll(() => {
    arena = new Arena(which)
  })
  afterAll(() => arena.close())

  for (const probe of PROBES)
    if (
      HERE[which].includes(probe.group) &&
      probe.slice !== true &&
      probe.fullRunOnly !== true &&
      (probe.only?.helper ?? which) === which
    )
      it(
        `${probe.id}: ${probe.promise}`,
        async () => {
          const { outcome, reason } = await arena.run(probe)
          expect(`${outcome}: ${reason}`).toMatch(/^held/)
        },
        budgetOf(probe),
      )
})

/** A probe that cannot fail proves nothing. Here those that notice at once; all of them: `defects.ts`. */
describe('a probe notices a product that does not keep its promise', () => {
  let arena: Arena
  beforeAll(() => {
    arena = new Arena('qemu')
  })
  afterAll(() => arena.close())

  it('has no two probes of one id', () => {
    const ids = PROBES.map(({ id }) => id)
    expect(ids.filter((id, at) => ids.indexOf(id) !== at)).toEqual([])
  })

  for (const probe of PROBES.filter(({ slice, group }) => slice && HERE.qemu.includes(group)))
    it(
      `${probe.id}, when ${probe.defect.when}`,
      async () => {
        const { outcome, reason, isSeen } = await arena.run(probe, true)
        expect({ outcome, isSeen }, reason).toEqual({ outcome: 'broken', isSeen: true })
      },
      budgetOf(probe),
    )
})
