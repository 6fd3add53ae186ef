import fc from 'fast-check'
import {
  AgentRequest,
  BsmError,
  checkJsonSize,
  ControlRequest,
  HelperMessage,
  JsonFormError,
  LIMITS,
  LineSplitter,
  parseStrictJson,
  UiRequest,
  type Line,
} from '../../../core/protocol/index.ts'
import { parseRequest } from '../../../helper/qemu/server/requests.ts'
import { cuts, changedText, pieces } from '../mutate.ts'
import { CONTROL_REQUESTS, HELPER_MESSAGES, HELPER_REQUESTS, UI_REQUESTS } from '../messages.ts'
import { must } from '../../gates/broken.ts'
import { asProperty, same, type Target } from '../target.ts'

const MAX = 24

/** The rule of §2, said another way: what a stream holds, seen whole. */
export function expectedLines(stream: Buffer): Line[] {
  const lines: Line[] = []
  for (let start = 0; start <= stream.length;) {
    const newline = stream.indexOf(0x0a, start)
    const part = stream.subarray(start, newline === -1 ? stream.length : newline)
    if (part.length > MAX) lines.push({ kind: 'too_long' })
    else if (newline !== -1) {
      const text = part.toString('utf8')
      const isUtf8 = Buffer.from(text, 'utf8').equals(part)
      const shown = isUtf8 ? text.replace(/\r$/, '') : `\ufffd not UTF-8: ${part.toString('latin1', 0, 40)}`
      if (shown.trim() !== '') lines.push({ kind: 'line', text: isUtf8 ? shown : shown.replace(/\r$/, '') })
    }
    if (newline === -1) break
    start = newline + 1
  }
  return lines
}

const streamByte = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(0x0a, 0x0d, 0x20, 0x61, 0x7b, 0x22) },
  { weight: 1, arbitrary: fc.nat(255) },
)

const lines: Target = {
  id: 'ndjson.lines',
  promise: 'A stream gives the same lines wherever it is cut, and never more than one line is held.',
  inputs: 80_000,
  property: () =>
    asProperty(
      fc.property(fc.array(streamByte, { maxLength: 160 }), cuts, (bytes, at) => {
        const stream = Buffer.from(bytes)
        const splitter = new LineSplitter(MAX)
        const got: Line[] = []
        for (const piece of pieces(stream, at)) {
          got.push(...splitter.push(piece))
          must(splitter.held <= MAX, () => `${splitter.held} bytes are held`)
        }
        must(same(got, expectedLines(stream)), () => `${JSON.stringify(got)} of ${stream.toString('hex')}`)
      }),
    ),
}

const requests: Target = {
  id: 'ndjson.helper-request',
  promise: 'A line is a request that prints and parses to itself, or is refused with BAD_REQUEST.',
  inputs: 80_000,
  property: () =>
    asProperty(
      fc.property(changedText(HELPER_REQUESTS), (bytes) => {
        const splitter = new LineSplitter()
        for (const line of splitter.push(Buffer.concat([bytes, Buffer.from('\n')]))) {
          const parsed = parseRequest(line)
          if (parsed.kind === 'refused') {
            must(parsed.error instanceof BsmError && parsed.error.code === 'BAD_REQUEST', parsed.error.code)
            must(parsed.error.message.trim() !== '', 'no sentence')
            must(parsed.requestId === null || parsed.requestId.length === 36, 'an id of another form')
            continue
          }
          const again = parseRequest({ kind: 'line', text: JSON.stringify(parsed.request) })
          must(again.kind === 'request' && same(again.request, parsed.request), 'it does not print to itself')
        }
      }),
    ),
}

/** Brackets and commas outside of strings, counted on the value instead of its text. */
const partsOf = (value: unknown): number => {
  if (typeof value !== 'object' || value === null) return 0
  const inner = Object.values(value)
  return 1 + Math.max(0, inner.length - 1) + inner.reduce<number>((sum, one) => sum + partsOf(one), 0)
}
const depthOf = (value: unknown): number =>
  typeof value !== 'object' || value === null
    ? 0
    : 1 + Object.values(value).reduce<number>((most, one) => Math.max(most, depthOf(one)), 0)

const size: Target = {
  id: 'ndjson.size',
  promise: 'JSON is refused for its depth or its parts exactly when it has too many, and else for nothing.',
  inputs: 40_000,
  property: () =>
    asProperty(
      fc.property(
        fc.jsonValue({ maxDepth: 5 }),
        fc.nat(90),
        fc.integer({ min: 1, max: 40 }),
        (core, wrap, maxParts) => {
          let value: unknown = core
          for (let i = 0; i < wrap; i += 1) value = i % 3 === 0 ? { '"\\': value } : [value]
          const tooMuch = depthOf(value) > LIMITS.jsonDepth || partsOf(value) > maxParts
          let refused = false
          try {
            checkJsonSize(JSON.stringify(value), maxParts)
          } catch (error) {
            must(error instanceof JsonFormError, String(error))
            refused = true
          }
          must(refused === tooMuch, () => `${JSON.stringify(value)} with ${maxParts}: ${String(refused)}`)
        },
      ),
    ),
}

type Schema = { safeParse: (value: unknown) => { success: boolean; data?: unknown } }

/** A schema at an edge: it never throws, and what it took it takes again. */
const edge = (
  id: string,
  what: string,
  schema: Schema,
  messages: readonly unknown[],
  inputs: number,
): Target => ({
  id,
  promise: `${what}: refused without an exception, or taken and printed and taken again as the same.`,
  inputs,
  property: () =>
    asProperty(
      fc.property(changedText(messages), (bytes) => {
        let value: unknown
        try {
          value = parseStrictJson(bytes.toString('utf8'))
        } catch (error) {
          must(error instanceof SyntaxError, String(error))
          return
        }
        const parsed = schema.safeParse(value)
        if (!parsed.success) return
        const again = schema.safeParse(JSON.parse(JSON.stringify(parsed.data)))
        must(again.success && same(again.data, parsed.data), 'it does not print to itself')
        must(({} as Record<string, unknown>)['a'] === undefined, 'a prototype was changed')
      }),
    ),
})

export const NDJSON: Target[] = [
  lines,
  requests,
  size,
  edge('agent.request', 'A line on agent.sock', AgentRequest, CONTROL_REQUESTS, 50_000),
  edge('control.request', 'A line on control.sock', ControlRequest, CONTROL_REQUESTS, 50_000),
  edge('helper.message', 'A line that a helper says', HelperMessage, HELPER_MESSAGES, 50_000),
  edge('ui.request', 'What a page sends', UiRequest, UI_REQUESTS, 50_000),
]
