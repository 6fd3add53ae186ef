import { crc32, deflateSync } from 'node:zlib'
import type { Canvas } from './canvas.ts'

/** A canvas as PNG (RGBA, 8 bits, no metadata); `dpi` tells Finder how large to show it. */
export function png(canvas: Canvas, dpi?: number): Buffer {
  const { width, height } = canvas
  const pixels = canvas.rgba()
  const rows = Buffer.alloc(height * (width * 4 + 1))
  for (let y = 0; y < height; y += 1) {
    const at = y * (width * 4 + 1)
    // Filter 2, up: what drawings with long gradients pack best with.
    rows[at] = 2
    for (let x = 0; x < width * 4; x += 1) {
      const above = y === 0 ? 0 : (pixels[(y - 1) * width * 4 + x] ?? 0)
      rows[at + 1 + x] = ((pixels[y * width * 4 + x] ?? 0) - above) & 0xff
    }
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 6, 0, 0, 0], 8)
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    ...(dpi === undefined ? [] : [chunk('pHYs', density(dpi))]),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function density(dpi: number): Buffer {
  const perMetre = Math.round(dpi / 0.0254)
  const data = Buffer.alloc(9)
  data.writeUInt32BE(perMetre, 0)
  data.writeUInt32BE(perMetre, 4)
  data[8] = 1
  return data
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const framed = Buffer.alloc(body.length + 8)
  framed.writeUInt32BE(data.length, 0)
  body.copy(framed, 4)
  framed.writeUInt32BE(crc32(body), body.length + 4)
  return framed
}
