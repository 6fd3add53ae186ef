import { crc32, deflateSync } from 'node:zlib'

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const GREY_AND_ALPHA = 4

/** A PNG of one grey with an alpha value for each pixel, row by row. */
export function pngOf(size: number, grey: number, alpha: Uint8Array): Buffer {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(size, 0)
  header.writeUInt32BE(size, 4)
  header.set([8, GREY_AND_ALPHA, 0, 0, 0], 8)
  const rows = Buffer.alloc(size * (1 + 2 * size))
  for (let y = 0; y < size; y += 1)
    for (let x = 0; x < size; x += 1)
      rows.set([grey, alpha[y * size + x] ?? 0], y * (1 + 2 * size) + 1 + 2 * x)
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows, { level: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const framed = Buffer.alloc(body.length + 8)
  framed.writeUInt32BE(data.length, 0)
  framed.set(body, 4)
  framed.writeUInt32BE(crc32(body), body.length + 4)
  return framed
}
