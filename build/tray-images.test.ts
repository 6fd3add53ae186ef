import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { coverage, writeTrayImages } from './tray-images.ts'

const SHAPES = ['stopped', 'starting', 'ready', 'working', 'resetting', 'degraded', 'error']

it.each([1, 2])('every two shapes differ at a glance, also at scale %d', (scale) => {
  for (const one of SHAPES)
    for (const other of SHAPES) {
      if (one >= other) continue
      const [a, b] = [coverage(one, scale), coverage(other, scale)]
      const differing = a.reduce((sum, alpha, index) => sum + Math.abs(alpha - (b[index] ?? 0)), 0)
      // In whole pixels of a 16 × 16 picture.
      expect(differing / 255 / scale ** 2, `${one} and ${other}`).toBeGreaterThan(16)
    }
})

it('no shape touches the edge of its picture in a way that cuts it off', () => {
  for (const shape of SHAPES) {
    const alpha = coverage(shape, 2)
    const edge = Array.from({ length: 32 }, (_, n) => [
      alpha[n],
      alpha[31 * 32 + n],
      alpha[n * 32],
      alpha[n * 32 + 31],
    ])
    expect(Math.max(...edge.flat().map(Number)), shape).toBe(0)
  }
})

it('the pictures are made at two sizes and three tints, and twice the same', () => {
  const directory = mkdtempSync(join(tmpdir(), 'bsm-tray-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const made = () => {
    writeTrayImages(directory)
    return readdirSync(directory).map((name) => [name, readFileSync(join(directory, name)).toString('hex')])
  }
  const first = made()
  expect(first).toHaveLength(SHAPES.length * 2 * 3)
  expect(first.map(([name]) => name)).toContain('readyTemplate@2x.png')
  expect(made()).toEqual(first)
  const png = readFileSync(join(directory, 'readyTemplate@2x.png'))
  expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([32, 32])
})
