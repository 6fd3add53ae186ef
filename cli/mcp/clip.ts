/** Bytes of a text cut to `max`: its beginning and its end, with the gap named between. */
export type Clipped = { text: string; returnedBytes: number }

/** Keeps head and tail of UTF-8 `bytes`, splitting no character; `total` counts what was there before any cut. */
export function clipText(bytes: Buffer, max: number, total = bytes.length): Clipped {
  if (bytes.length <= max) return { text: bytes.toString('utf8'), returnedBytes: bytes.length }
  const half = Math.floor(max / 2)
  const head = bytes.subarray(0, boundaryBefore(bytes, half))
  const tail = bytes.subarray(boundaryAfter(bytes, bytes.length - half))
  const returnedBytes = head.length + tail.length
  const gap = `\n[… ${total - returnedBytes} bytes left out …]\n`
  return { text: head.toString('utf8') + gap + tail.toString('utf8'), returnedBytes }
}

const continues = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80

function boundaryBefore(bytes: Buffer, at: number): number {
  let end = at
  while (end > 0 && continues(bytes[end])) end -= 1
  return end
}

function boundaryAfter(bytes: Buffer, at: number): number {
  let start = at
  while (start < bytes.length && continues(bytes[start])) start += 1
  return start
}
