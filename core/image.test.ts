import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { loadImage } from './image.ts'
import { imageDirectory, temporaryDirectory } from './testing/fixture.ts'

it('names the files of an image', () => {
  const directory = imageDirectory()
  expect(loadImage(directory, 'base').kernel).toBe(join(directory, 'base', 'Image'))
})

it.each([
  ['base', 'npm run guest'],
  ['python', 'npm run guest -- --recipe python'],
])('that is missing is built with one command: %s', (recipe, command) => {
  expect(() => loadImage('/nowhere', recipe)).toThrow(
    expect.objectContaining({ code: 'BOOT_CONFIG_INVALID', nextStep: `Build it: ${command}.` }),
  )
})

it('whose manifest is none is built again with the same command', () => {
  const directory = temporaryDirectory()
  mkdirSync(join(directory, 'python'))
  writeFileSync(join(directory, 'python', 'manifest.json'), '{}')
  expect(() => loadImage(directory, 'python')).toThrow(
    expect.objectContaining({
      code: 'IMAGE_MISMATCH',
      nextStep: 'Build the image again: npm run guest -- --recipe python.',
    }),
  )
})
