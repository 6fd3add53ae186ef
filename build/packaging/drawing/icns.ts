/** OSType of each PNG in an icns file by its side in pixels (Apple Icon Image format). */
const TYPES: readonly (readonly [pixels: number, type: string])[] = [
  [16, 'icp4'],
  [32, 'icp5'],
  [32, 'ic11'],
  [64, 'ic12'],
  [128, 'ic07'],
  [256, 'ic13'],
  [256, 'ic08'],
  [512, 'ic14'],
  [512, 'ic09'],
  [1024, 'ic10'],
]

/** An icns file of all sizes that macOS asks for; `draw` makes the PNG of one. */
export function icns(draw: (pixels: number) => Buffer): Buffer {
  const drawn = new Map<number, Buffer>()
  const entries = TYPES.map(([pixels, type]) => {
    const image = drawn.get(pixels) ?? draw(pixels)
    drawn.set(pixels, image)
    return entry(type, image)
  })
  return entry('icns', Buffer.concat(entries))
}

function entry(type: string, data: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.write(type, 0, 'latin1')
  head.writeUInt32BE(data.length + 8, 4)
  return Buffer.concat([head, data])
}
