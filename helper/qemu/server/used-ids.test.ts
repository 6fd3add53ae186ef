import { expect, it } from 'vitest'
import { UsedIds } from './used-ids.ts'

it('remembers the latest ids and forgets the oldest', () => {
  const ids = new UsedIds(2)
  for (const id of ['a', 'b', 'c']) ids.add(id)
  expect(['a', 'b', 'c'].map((id) => ids.has(id))).toEqual([false, true, true])
})
