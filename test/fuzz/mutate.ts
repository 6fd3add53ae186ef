import fc from 'fast-check'

/** Structured inputs: messages that a parser takes, changed a little, in their values and in their bytes. */

const TOKENS = [
  ...['{', '}', '[', ']', ',', ':', '"', '\\', '\\u0000', '\\ud800', '\n', '\r', '\0', ' ', '\ufeff'],
  ...['null', 'true', '1e999', '-0', '9007199254740993', '0.1', '__proto__', 'constructor', 'toString'],
  ...['"kind":"exec"', '"type":"Pong"', '{"a":1,"a":2}', '[[[[[[[[', ']]]]]]]]', '\u202e', 'é', '😀'],
]

const ODD_VALUES: unknown[] = [
  ...[null, true, false, 0, -1, 1.5, 1e308, 2 ** 53, '', 'x', 'x'.repeat(3000), '\u0000', '\ud800', '../..'],
  ...[[], {}, [[]], { a: 1 }, Array(300).fill(0), '00000000-0000-0000-0000-000000000000', 'sha256:'],
]

type ValueChange = { at: number; how: 'replace' | 'drop' | 'add' | 'case'; value: unknown }
type ByteChange = {
  at: number
  how: 'flip' | 'insert' | 'delete' | 'repeat' | 'token' | 'cut'
  n: number
  byte: number
  token: string
}

const valueChange: fc.Arbitrary<ValueChange> = fc.record({
  at: fc.nat(500),
  how: fc.constantFrom('replace', 'replace', 'replace', 'drop', 'add', 'case'),
  value: fc.constantFrom(...ODD_VALUES),
})

const byteChange: fc.Arbitrary<ByteChange> = fc.record({
  at: fc.nat(1_000_000),
  how: fc.constantFrom('flip', 'insert', 'delete', 'repeat', 'token', 'token', 'cut'),
  n: fc.integer({ min: 1, max: 40 }),
  byte: fc.nat(255),
  token: fc.constantFrom(...TOKENS),
})

function changeValue(root: unknown, { at, how, value }: ValueChange): unknown {
  const places: { holder: Record<string, unknown>; key: string }[] = []
  const walk = (holder: Record<string, unknown>): void => {
    for (const [key, inner] of Object.entries(holder)) {
      places.push({ holder, key })
      if (typeof inner === 'object' && inner !== null) walk(inner as Record<string, unknown>)
    }
  }
  const box = { root: structuredClone(root) }
  walk(box)
  const place = places[at % places.length]
  if (place === undefined) return root
  const { holder, key } = place
  if (how === 'replace') holder[key] = value
  else if (how === 'add') holder[`${key}x`] = value
  else {
    if (how === 'case') holder[key.toUpperCase()] = holder[key]
    if (holder !== box) Reflect.deleteProperty(holder, key)
  }
  return box.root
}

export function changeBytes(bytes: Buffer, { at, how, n, byte, token }: ByteChange): Buffer {
  const i = at % (bytes.length + 1)
  const [head, tail] = [bytes.subarray(0, i), bytes.subarray(i)]
  switch (how) {
    case 'flip': {
      const changed = Buffer.from(bytes)
      if (i < changed.length) changed[i] = byte
      return changed
    }
    case 'insert':
      return Buffer.concat([head, Buffer.of(byte), tail])
    case 'delete':
      return Buffer.concat([head, tail.subarray(n)])
    case 'repeat':
      return Buffer.concat([head, tail.subarray(0, n), tail])
    case 'token':
      return Buffer.concat([head, Buffer.from(token, 'utf8'), tail])
    case 'cut':
      return head
  }
}

/** One of `messages`, with up to two values changed. */
export const changedValue = (messages: readonly unknown[]): fc.Arbitrary<unknown> =>
  fc
    .tuple(fc.constantFrom(...messages), fc.array(valueChange, { maxLength: 2 }))
    .map(([message, changes]) => changes.reduce(changeValue, message))

/** The bytes of one of `messages`, changed in values and in up to three places of the text. */
export const changedText = (messages: readonly unknown[]): fc.Arbitrary<Buffer> =>
  fc
    .tuple(changedValue(messages), fc.array(byteChange, { maxLength: 3 }))
    .map(([value, changes]) => changes.reduce(changeBytes, Buffer.from(JSON.stringify(value) ?? '', 'utf8')))

/** Any bytes that are changed from `seeds`. */
export const changedBytes = (seeds: readonly Buffer[], maxLength = 4): fc.Arbitrary<Buffer> =>
  fc
    .tuple(fc.constantFrom(...seeds), fc.array(byteChange, { maxLength }))
    .map(([seed, changes]) => changes.reduce(changeBytes, seed))

/** A stream in pieces: `cuts` are where, each as a part of a thousand of its length. */
export function pieces(stream: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...cuts].map((cut) => Math.floor((cut * stream.length) / 1000)).sort((a, b) => a - b)
  return [0, ...at].map((from, i) => stream.subarray(from, at[i] ?? stream.length))
}

export const cuts: fc.Arbitrary<number[]> = fc.array(fc.nat(1000), { maxLength: 12 })
