import { describe, expect, it } from 'vitest'
import { useBench, VM_TEST_MS } from '../vm/bench.ts'
import { foundIn, LEAVERS, leaveAll, LOOK, MARKS } from './marks.ts'

/** The looks see what they look for: what the soak would say of a product that does not wipe. */
describe('the marks of the soak', () => {
  const bench = useBench('test')
  const idsOf = (marks: (typeof LEAVERS)[number]['marks']) => marks.map(({ id }) => id)

  for (const { tool, marks } of LEAVERS)
    it(
      `each that ${tool} leaves is found while its dispatch runs, and none before`,
      bench.shared(async ({ vm }) => {
        await vm.reset()
        const { stdout, stderr } = await vm.exec(tool, { command: [LOOK, leaveAll(marks), LOOK].join('\n') })
        const [before = '', after = ''] = stdout.split(/(?<=^looked \d+\n)/m)
        expect(foundIn(before), stderr).toEqual([])
        expect(foundIn(after), stderr).toEqual(idsOf(marks))
      }),
      VM_TEST_MS,
    )

  it(
    'what outlives a dispatch is found by the next one without a reset, and not after it',
    bench.shared(async ({ vm }) => {
      const look = async (tool = 'root.sh') => foundIn((await vm.exec(tool, { command: LOOK })).stdout)
      await vm.reset()
      for (const { tool, marks } of LEAVERS) await vm.exec(tool, { command: `${LOOK}\n${leaveAll(marks)}` })
      const ofRoot = idsOf(LEAVERS[1].marks).filter((id) => id !== 'mount')
      const outliving = ['file', 'file.hidden', 'shared-memory', ...ofRoot]
      expect(await look()).toEqual(expect.arrayContaining(outliving))
      // Why root has to look: a tool does not see all of it.
      const seen = await look('sh')
      expect(seen).toContain('system-file')
      for (const id of ['process.escaped', 'keyring']) expect(seen).not.toContain(id)
      expect((await vm.reset()).verification_passed).toBe(true)
      expect(await look()).toEqual([])
    }),
    VM_TEST_MS,
  )

  it('a look that was cut off is not one that found nothing', () => {
    expect(() => foundIn('found file\n')).toThrow('did not come to its end')
    expect(foundIn(`found file\nlooked ${MARKS.length}\n`)).toEqual(['file'])
  })
})
