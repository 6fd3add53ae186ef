import { describe, expect, it } from 'vitest'
import { anchorOf, placePopover } from './position.ts'

const SCREEN = { x: 0, y: 25, width: 1440, height: 875 }
const icon = (x: number, y = 0) => ({ x, y, width: 24, height: 24 })

describe('the popover', () => {
  it('hangs below the icon in the menu bar, centred on it', () =>
    expect(placePopover(icon(700), SCREEN)).toEqual({ x: 502, y: 33, width: 420, height: 704 }))

  it('stays on the screen beside its edges', () => {
    expect(placePopover(icon(1430), SCREEN).x).toBe(1440 - 420 - 8)
    expect(placePopover(icon(2), SCREEN).x).toBe(8)
  })

  it('stands above a bar at the foot of the screen', () => {
    const screen = { x: 0, y: 0, width: 1440, height: 860 }
    expect(placePopover(icon(700, 870), screen)).toMatchObject({ y: 860 - 704 - 8 })
  })

  it('is on the screen of its icon, also left of the first one', () => {
    const second = { x: -1920, y: -200, width: 1920, height: 1055 }
    expect(placePopover(icon(-300, -225), second)).toMatchObject({ x: -498, y: -192 })
  })

  it('shrinks to a small screen', () => {
    const small = { x: 0, y: 25, width: 400, height: 500 }
    expect(placePopover(icon(300), small)).toEqual({ x: 8, y: 33, width: 384, height: 484 })
  })

  it('is in the upper right corner when nobody can tell where the icon is', () => {
    expect(anchorOf({ x: 0, y: 0, width: 0, height: 0 })).toBeNull()
    expect(anchorOf({ x: 0, y: -24, width: 24, height: 24 })).toBeNull()
    expect(placePopover(null, SCREEN)).toMatchObject({ x: 1440 - 420 - 8, y: 33 })
  })

  it('stands on whole pixels', () => {
    const place = placePopover({ x: 700.4, y: 0, width: 23.3, height: 23.7 }, { ...SCREEN, height: 600.5 })
    expect(Object.values(place).every(Number.isInteger)).toBe(true)
  })
})
