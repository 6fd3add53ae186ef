import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HELPERS } from '../support/helper-binary.ts'
import { Arena } from './arena.ts'
import { DEFAULT_BUDGET_MS, OF_THE_HELPER } from './probe.ts'
import { PROBES } from './probes/index.ts'

const SETUP_MS = 120_000
const budgetOf = (ms = DEFAULT_BUDGET_MS): number => ms + SETUP_MS

describe.each(HELPERS)('the red team against the %s helper', (which) => {
  let arena: Arena
  beforeAll(() => {
    arena = new Arena(which)
  })
  afterAll(() => arena.close())

  for (const probe of PROBES)
    if (which === 'qemu' || (probe.only === undefined && OF_THE_HELPER.includes(probe.group)))
      it(
        `${probe.id}: ${probe.promise}`,
        async () => {
          const { outcome, reason } = await arena.run(probe)
          expect(`${outcome}: ${reason}`).toMatch(/^held/)
        },
        budgetOf(probe.budgetMs),
      )
})

/** A probe that cannot fail proves nothing. */
describe('each probe notices a product that does not keep its promise', () => {
  let arena: Arena
  beforeAll(() => {
    arena = new Arena('qemu')
  })
  afterAll(() => arena.close())

  it('has no two probes of one id', () => {
    const ids = PROBES.map(({ id }) => id)
    expect(ids.filter((id, at) => ids.indexOf(id) !== at)).toEqual([])
  })

  for (const probe of PROBES)
    it(
      `${probe.id}, when ${probe.defect.when}`,
      async () => {
        const { outcome, reason, isSeen } = await arena.run(probe, true)
        expect({ outcome, isSeen }, reason).toEqual({ outcome: 'broken', isSeen: true })
      },
      budgetOf(probe.budgetMs),
    )
})
