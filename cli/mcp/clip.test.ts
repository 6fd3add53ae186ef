import { describe, expect, it } from 'vitest'
import { clipText } from './clip.ts'

describe('clipping a text', () => {
  it('leaves alone what fits', () => {
    expect(clipText(Buffer.from('hello'), 5)).toEqual({ text: 'hello', returnedBytes: 5 })
  })

  it('keeps both ends and names the gap', () => {
    const { text, returnedBytes } = clipText(Buffer.from('abcdefghij'), 4, 100)
    expect(text).toBe('ab\n[… 96 bytes left out …]\nij')
    expect(returnedBytes).toBe(4)
  })

  it('splits no character, wherever it cuts', () => {
    const bytes = Buffer.from('äöü€😀'.repeat(9))
    for (let max = 1; max < bytes.length; max += 1) {
      const { text, returnedBytes } = clipText(bytes, max)
      expect(text, String(max)).not.toContain('\ufffd')
      expect(returnedBytes).toBeLessThanOrEqual(max)
    }
  })
})
