import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ifChanged } from '../../if-changed.ts'
import { root } from '../../root.ts'
import { background, icon } from './art.ts'
import { icns } from './icns.ts'
import { png } from './png.ts'

/** Draws the app's icon and the picture of its disk image into `out/art/`, and returns that folder. */
export async function drawArt(): Promise<string> {
  const folder = join(root, 'out/art')
  const outputs = ['icon.icns', 'background.png', 'background@2x.png']
  await ifChanged(
    'art',
    { inputs: ['build/packaging/drawing'], outputs: outputs.map((name) => `out/art/${name}`) },
    () => {
      mkdirSync(folder, { recursive: true })
      const write = (name: string, bytes: Buffer): void => writeFileSync(join(folder, name), bytes)
      write(
        'icon.icns',
        icns((pixels) => png(icon(pixels))),
      )
      write('background.png', png(background(1), 72))
      write('background@2x.png', png(background(2), 144))
      return Promise.resolve()
    },
  )
  return folder
}
