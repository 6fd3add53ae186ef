import { join } from 'node:path'
import { expect, it } from 'vitest'
import { locateImage } from './locate-image.ts'

it('is meant by name or by path, or left to the settings', () => {
  expect(locateImage(undefined, '/src')).toEqual({ imageDir: join('/src', 'out/guest') })
  expect(locateImage('python', '/src')).toEqual({ imageDir: join('/src', 'out/guest'), recipe: 'python' })
  expect(locateImage('/images/mine/', '/src')).toEqual({ imageDir: '/images', recipe: 'mine' })
})
