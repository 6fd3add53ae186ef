import { describe, expect, it } from 'vitest'
import { isSameClick } from './toggle.ts'

describe('a click on the icon', () => {
  it('is the one that took the focus when the pointer was on the icon then', () => {
    expect(isSameClick({ at: 100, onIcon: true }, 105)).toBe(true)
    expect(isSameClick({ at: 100, onIcon: true }, 800)).toBe(true)
    expect(isSameClick({ at: 100, onIcon: true }, 1_100)).toBe(false)
  })
  it('is another one when the pointer was elsewhere', () =>
    expect(isSameClick({ at: 100, onIcon: false }, 101)).toBe(false))
  it('counts as the same only at once where nobody can tell', () => {
    expect(isSameClick({ at: 100, onIcon: null }, 250)).toBe(true)
    expect(isSameClick({ at: 100, onIcon: null }, 400)).toBe(false)
  })
  it('shows a popover that never lost the focus', () => expect(isSameClick(null, 100)).toBe(false))
})
