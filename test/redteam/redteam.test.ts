import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { HELPERS } from '../support/helper-binary.ts'
import { Arena } from './arena.ts'
import { DEFAULT_BUDGET_MS, OF_THE_HELPER, type Group, type Probe } from './probe.ts'
import { PROBES } from './probes/index.ts'

const SETUP_MS = 120_000
const budgetOf = ({ budgetMs = DEFAULT_BUDGET_MS }: Probe): number => budgetMs + SETUP_MS

/**
 * Of these every probe is run in `npm test`, of all others the quick ones, and with them those of the slice
 * (`../gates/slice.test.ts`): the rest is for `npm run gates`.
 */
const ALWAYS: readonly Group[] = [
  'Persistence',
  'Escape and privilege',
  'Exhaustion',
  'Egress',
  'Lying substrate',
]

describe.each(HELPERS)('the red team against the %s helper', (which) => {
  let arena: Arena
  beforeAll(() => {
    arena = new Arena(which)
  })
  afterAll(() => arena.close())

  const groups = which === 'qemu' ? ALWAYS : OF_THE_HELPER
  for (const probe of PROBES)
    if (groups.includes(probe.group) && probe.slice !== true && (probe.only?.helper ?? which) === which)
      it(
        `${probe.id}: ${probe.promise}`,
        async () => {
          const { outcome, reason } = await arena.run(probe)
          expect(`${outcome}: ${reason}`).toMatch(/^held/)
        },
        budgetOf(probe),
      )
})

/** A probe that cannot fail proves nothing. Of all of them: `defects.ts`. */
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

  for (const probe of PROBES.filter(({ slice }) => slice))
    it(
      `${probe.id}, when ${probe.defect.when}`,
      async () => {
        const { outcome, reason, isSeen } = await arena.run(probe, true)
        expect({ outcome, isSeen }, reason).toEqual({ outcome: 'broken', isSeen: true })
      },
      budgetOf(probe),
    )
})
