import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pngOf } from './png.ts'
import { root } from './root.ts'

/**
 * The icons of the menu bar, drawn from formulas: a box that is empty, being built, full, at work …, and for what needs
 * a person no box at all. Each state has a silhouette of its own, for colour says nothing in a menu bar.
 */

/** Points; a picture is 16 of them wide and high, as macOS wants a menu-bar icon. */
const POINTS = 16
/** Samples along each side of a pixel: 64 degrees of coverage. */
const SAMPLES = 8
const CENTRE = POINTS / 2

/** Whether the ink covers a point. */
type Ink = (x: number, y: number) => boolean

const roundedSquare =
  (half: number, radius: number): Ink =>
  (x, y) => {
    const dx = Math.max(0, Math.abs(x - CENTRE) - (half - radius))
    const dy = Math.max(0, Math.abs(y - CENTRE) - (half - radius))
    return Math.hypot(dx, dy) <= radius
  }
const disc =
  (radius: number, cx = CENTRE, cy = CENTRE): Ink =>
  (x, y) =>
    Math.hypot(x - cx, y - cy) <= radius
const polygon =
  (...corners: readonly (readonly [number, number])[]): Ink =>
  (x, y) => {
    let inside = false
    corners.forEach(([ax, ay], index) => {
      const [bx, by] = corners[(index + 1) % corners.length] ?? [0, 0]
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside
    })
    return inside
  }
/** A stroke with round ends. */
const stroke =
  (ax: number, ay: number, bx: number, by: number, width: number): Ink =>
  (x, y) => {
    const [dx, dy] = [bx - ax, by - ay]
    const along = Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)))
    return Math.hypot(x - ax - along * dx, y - ay - along * dy) <= width / 2
  }
const all =
  (...inks: readonly Ink[]): Ink =>
  (x, y) =>
    inks.some((ink) => ink(x, y))
const without =
  (ink: Ink, hole: Ink): Ink =>
  (x, y) =>
    ink(x, y) && !hole(x, y)

const box = without(roundedSquare(7, 2.5), roundedSquare(5.5, 1.2))
const ring = without(disc(6.5), disc(5))

/** Named as the states are shown (electron/look.ts). */
const SHAPES: Record<string, Ink> = {
  // An empty box.
  stopped: box,
  // Only its corners: it is being built.
  starting: without(box, (x, y) => Math.abs(x - CENTRE) < 2.6 || Math.abs(y - CENTRE) < 2.6),
  // A box with something in it.
  ready: all(box, roundedSquare(3, 0.8)),
  // A full box, and in it the sign for "runs".
  working: without(roundedSquare(7, 2.5), polygon([6, 4.4], [12, 8], [6, 11.6])),
  // A turning arrow.
  resetting: all(
    without(ring, polygon([8, 8], [16, 8], [16, 1], [12, 1])),
    polygon([8.6, 5.6], [15.4, 7.4], [13.4, 1.2]),
  ),
  // A warning triangle, its mark cut out.
  degraded: without(
    polygon([8, 1], [15.4, 14.6], [0.6, 14.6]),
    all(stroke(8, 5.6, 8, 9.6, 1.6), disc(1, CENTRE, 12.2)),
  ),
  // A disc with a cross cut out.
  error: without(disc(7), all(stroke(5.4, 5.4, 10.6, 10.6, 1.7), stroke(10.6, 5.4, 5.4, 10.6, 1.7))),
}

/** How much of each pixel the ink covers, 0 … 255, at `scale` pixels a point. */
export function coverage(shape: string, scale: number): Uint8Array {
  const ink = SHAPES[shape]
  if (ink === undefined) throw new Error(`there is no shape ${shape}`)
  const size = POINTS * scale
  const alpha = new Uint8Array(size * size)
  for (let y = 0; y < size; y += 1)
    for (let x = 0; x < size; x += 1) {
      let covered = 0
      for (let sy = 0; sy < SAMPLES; sy += 1)
        for (let sx = 0; sx < SAMPLES; sx += 1)
          if (ink((x + (sx + 0.5) / SAMPLES) / scale, (y + (sy + 0.5) / SAMPLES) / scale)) covered += 1
      alpha[y * size + x] = Math.round((covered * 255) / SAMPLES ** 2)
    }
  return alpha
}

/** Black for a template image, which macOS colours itself, and for light panels; white for dark ones. */
const VARIANTS = { Template: 0, OnLight: 0, OnDark: 255 }

export function writeTrayImages(directory = join(root, 'dist', 'electron', 'tray')): void {
  rmSync(directory, { recursive: true, force: true })
  mkdirSync(directory, { recursive: true })
  for (const shape of Object.keys(SHAPES))
    for (const scale of [1, 2]) {
      const alpha = coverage(shape, scale)
      for (const [variant, grey] of Object.entries(VARIANTS))
        writeFileSync(
          join(directory, `${shape}${variant}${scale === 1 ? '' : '@2x'}.png`),
          pngOf(POINTS * scale, grey, alpha),
        )
    }
}
