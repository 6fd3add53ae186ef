import { describe, expect, it } from 'vitest'
import { GatheredBytes } from './gathered-bytes.ts'

describe('gathered bytes', () => {
  it('are nothing at first', () => {
    expect(new GatheredBytes().all()).toEqual(Buffer.of())
  })

  it.each([[[1, 2, 3]], [[65_535, 1, 1]], [[65_536]], [[200_000, 0, 5, 65_531]]])(
    'are those that came, in order, in pieces of %j',
    (sizes) => {
      const gathered = new GatheredBytes()
      const pieces = sizes.map((size, i) => Buffer.alloc(size, i + 1))
      for (const piece of pieces) gathered.add(piece)
      expect(gathered.all().equals(Buffer.concat(pieces))).toBe(true)
    },
  )
})
