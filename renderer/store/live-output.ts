import type { Output } from '../bridge/index.ts'
import type { OutputStream } from '../protocol.ts'

/** Output of one command as it comes; only its end is kept, the evidence has all of it. */
export type LiveOutput = {
  readonly segments: readonly Segment[]
  /** Characters held in `segments`. */
  readonly held: number
  /** Characters that were let go at the front. */
  readonly dropped: number
  /** Evidence sequence number of the last chunk taken. */
  readonly seq: number
  /** Bytes of a UTF-8 sequence that a chunk cut in two. */
  readonly pending: { readonly stdout: Uint8Array; readonly stderr: Uint8Array }
}
export type Segment = { readonly stream: OutputStream; readonly text: string }

export const LIVE_LIMIT = 64 * 1024
const NOTHING = new Uint8Array(0)
export const EMPTY_OUTPUT: LiveOutput = {
  segments: [],
  held: 0,
  dropped: 0,
  seq: 0,
  pending: { stdout: NOTHING, stderr: NOTHING },
}

/** Adds one chunk. A chunk that came before (a reconnect repeats some) changes nothing. */
export function appendOutput(live: LiveOutput, chunk: Output): LiveOutput {
  if (chunk.seq <= live.seq) return live
  const bytes = joined(
    live.pending[chunk.stream],
    Uint8Array.from(atob(chunk.data_b64), (c) => c.charCodeAt(0)),
  )
  const whole = bytes.length - unfinished(bytes)
  const text = new TextDecoder().decode(bytes.subarray(0, whole))
  const pending = { ...live.pending, [chunk.stream]: bytes.slice(whole) }
  return dropFront({
    ...live,
    seq: chunk.seq,
    pending,
    segments: withText(live.segments, chunk.stream, text),
    held: live.held + text.length,
  })
}

function withText(segments: readonly Segment[], stream: OutputStream, text: string): readonly Segment[] {
  if (text === '') return segments
  const last = segments.at(-1)
  return last?.stream === stream
    ? [...segments.slice(0, -1), { stream, text: last.text + text }]
    : [...segments, { stream, text }]
}

/** Lets a quarter go at once, so that a flood does not copy everything for each chunk. */
function dropFront(live: LiveOutput): LiveOutput {
  if (live.held <= LIVE_LIMIT) return live
  let excess = live.held - LIVE_LIMIT * 0.75
  const segments: Segment[] = []
  for (const segment of live.segments) {
    const cut = Math.min(excess, segment.text.length)
    excess -= cut
    if (cut < segment.text.length) segments.push({ ...segment, text: segment.text.slice(cut) })
  }
  const held = segments.reduce((sum, segment) => sum + segment.text.length, 0)
  return { ...live, segments, held, dropped: live.dropped + live.held - held }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

/** How many bytes at the end begin a UTF-8 sequence that is not whole yet. */
function unfinished(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back += 1) {
    const byte = bytes[bytes.length - back] ?? 0
    if ((byte & 0xc0) === 0x80) continue
    const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return needs > back ? back : 0
  }
  return 0
}
