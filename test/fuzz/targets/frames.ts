import fc from 'fast-check'
import { BsmError, duplicateKey, FROM_GUEST, LIMITS, type Port } from '../../../core/protocol/index.ts'
import { encodeFrame, FrameParser, nodeLimit, parseFrame } from '../../../helper/qemu/guest-link/frames.ts'
import {
  encodeClose,
  encodeData,
  encodeOpen,
  RECORD_DATA_BYTES,
  RecordError,
  RecordParser,
} from '../../../helper/qemu/guest-link/records.ts'
import { GUEST_MESSAGES } from '../messages.ts'
import { changedBytes, changedText, cuts, pieces } from '../mutate.ts'
import { Broken, must } from '../../gates/broken.ts'
import { asProperty, same, type Target } from '../target.ts'

const MAX = 64
const TYPED = new Set(['FRAME_TOO_LARGE', 'FRAME_MALFORMED'])

const framed = (body: Buffer): Buffer => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length)
  return Buffer.concat([length, body])
}

/** What the stream holds, seen whole: its bodies, and whether it breaks after them. */
function expectedFrames(stream: Buffer): { bodies: Buffer[]; breaks: boolean } {
  const bodies: Buffer[] = []
  let at = 0
  while (stream.length - at >= 4) {
    const length = stream.readUInt32BE(at)
    if (length === 0 || length > MAX) return { bodies, breaks: true }
    if (stream.length - at < 4 + length) break
    bodies.push(stream.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return { bodies, breaks: false }
}

const streams = fc
  .tuple(
    fc.array(fc.uint8Array({ minLength: 1, maxLength: MAX }), { maxLength: 6 }),
    fc.option(fc.constantFrom(0, MAX + 1, 0x7fff_ffff, 0xffff_ffff)),
    fc.uint8Array({ maxLength: 8 }),
  )
  .map(([bodies, bad, tail]) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bad ?? 5)
    return Buffer.concat([
      ...bodies.map((body) => framed(Buffer.from(body))),
      ...(bad === null ? [] : [length]),
      Buffer.from(tail),
    ])
  })

const split: Target = {
  id: 'frames.split',
  promise:
    'A stream gives the same frames wherever it is cut; a bad length is refused before its bytes come.',
  inputs: 80_000,
  property: () =>
    asProperty(
      fc.property(streams, cuts, (stream, at) => {
        const { bodies, breaks } = expectedFrames(stream)
        const parser = new FrameParser(MAX)
        const got: Buffer[] = []
        let broken = false
        let taken = 0
        for (const piece of pieces(stream, at)) {
          try {
            got.push(...parser.push(piece))
          } catch (error) {
            must(error instanceof BsmError && TYPED.has(error.code), String(error))
            broken = true
            break
          }
          taken += piece.length
          must(parser.held <= MAX + 4, () => `${parser.held} bytes are held`)
        }
        must(broken === breaks, () => `broken: ${broken} for ${stream.toString('hex')}`)
        // Those that came in one piece with the bad length go down with it.
        let end = 0
        const wanted = bodies.filter(({ length }) => (end += 4 + length) <= taken || !broken)
        must(same(got.map(hex), wanted.map(hex)), () => `other frames of ${stream.toString('hex')}`)
      }),
    ),
}
const hex = (bytes: Buffer): string => bytes.toString('hex')

const body: Target = {
  id: 'frames.body',
  promise: 'A body is JSON without a repeated key, as JSON.parse has it, or FRAME_MALFORMED.',
  inputs: 80_000,
  property: () =>
    asProperty(
      fc.property(changedText(GUEST_MESSAGES), (bytes) => {
        let value: unknown
        try {
          value = parseFrame(bytes, LIMITS.controlNodes)
        } catch (error) {
          must(error instanceof BsmError && error.code === 'FRAME_MALFORMED', String(error))
          return
        }
        const text = bytes.toString('utf8')
        must(same(value, parsedAlone(text)), () => `another value than JSON.parse has of ${text}`)
        must(duplicateKey(text) === null, 'a repeated key')
      }),
    ),
}

function parsedAlone(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new Broken(`taken, but no JSON: ${String(error)}: ${text}`)
  }
}

const spelled = (key: string, how: number): string =>
  [...key]
    .map((c, i) => ((how >> (i % 5)) & 1 ? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}` : c))
    .join('')

const twice: Target = {
  id: 'frames.repeated-key',
  promise: 'Two equal keys of one object are found, however they are spelled; two different ones are not.',
  inputs: 60_000,
  property: () =>
    asProperty(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', 'b', 'é', '0', '_'), minLength: 1, maxLength: 4 }),
        fc.string({ unit: fc.constantFrom('a', 'b', 'é', '0', '_'), minLength: 1, maxLength: 4 }),
        fc.nat(31),
        fc.nat(31),
        fc.jsonValue({ maxDepth: 2 }),
        fc.nat(4),
        (first, second, how, otherHow, between, wrap) => {
          const inner = JSON.stringify({ x: between })
          let text = `{"${spelled(first, how)}":${inner},"${spelled(second, otherHow)}":[${inner}]}`
          for (let i = 0; i < wrap; i += 1) text = i % 2 === 0 ? `[1,${text}]` : `{"w":${text}}`
          must((duplicateKey(text) !== null) === (first === second), text)
        },
      ),
    ),
}

const PORTS: Port[] = [1024, 1025, 1026, 1027]

const messages: Target = {
  id: 'frames.messages',
  promise: 'What a guest sends on a port is refused without an exception, or prints and parses to itself.',
  inputs: 60_000,
  property: () =>
    asProperty(
      fc.property(fc.constantFrom(...PORTS), changedText(GUEST_MESSAGES), (port, bytes) => {
        let value: unknown
        try {
          value = parseFrame(bytes, nodeLimit(port))
        } catch (error) {
          must(error instanceof BsmError && error.code === 'FRAME_MALFORMED', String(error))
          return
        }
        const parsed = FROM_GUEST[port].safeParse(value)
        if (!parsed.success) return
        const again = FROM_GUEST[port].safeParse(parseFrame(encodeFrame(parsed.data).subarray(4)))
        must(again.success && same(again.data, parsed.data), 'it does not print to itself')
      }),
    ),
}

const records: Target = {
  id: 'bridge.records',
  promise: 'A port gives the same records wherever its bytes are cut, or a RecordError at the same place.',
  inputs: 60_000,
  property: () => {
    const seeds = [
      Buffer.concat([encodeOpen(7), encodeData(7, Buffer.from('hello')), encodeClose(7)]),
      Buffer.concat([encodeOpen(1), encodeClose(1), encodeOpen(2), encodeData(2, Buffer.alloc(40, 0x2a))]),
      encodeData(0xffff_ffff, Buffer.from([0])),
    ]
    const read = (stream: Buffer, at: number[]) => {
      const parser = new RecordParser()
      const got: string[] = []
      let broken = false
      for (const piece of pieces(stream, at))
        try {
          for (const { connId, kind, data } of parser.push(piece))
            got.push(`${connId} ${kind} ${data.toString('hex')}`)
        } catch (error) {
          must(error instanceof RecordError, String(error))
          broken = true
          break
        }
      must(
        got.every((one) => one.length <= 2 * RECORD_DATA_BYTES + 32),
        'a record longer than there are',
      )
      return { got, broken }
    }
    return asProperty(
      fc.property(changedBytes(seeds), cuts, (stream, at) => {
        const whole = read(stream, [])
        const cut = read(stream, at)
        must(whole.broken === cut.broken, `broken in one way of reading: ${stream.toString('hex')}`)
        const expected = whole.broken ? cut.got.slice(0, whole.got.length) : cut.got
        must(same(whole.got, expected), `other records of ${stream.toString('hex')}`)
      }),
    )
  },
}

export const FRAMES: Target[] = [split, body, twice, messages, records]
