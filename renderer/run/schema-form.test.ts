import { describe, expect, it } from 'vitest'
import type { ToolSpec } from '../protocol.ts'
import { fieldsOf, initialValues, parseValues, type Params, type Values } from './schema-form.ts'

const tool = (properties: Record<string, unknown>, required: string[] = []): ToolSpec => ({
  name: 'x',
  description: '',
  params_schema: { type: 'object', properties, required } as ToolSpec['params_schema'],
})
const parse = (spec: ToolSpec, values: Values) => parseValues(fieldsOf(spec), values)
const kinds = (spec: ToolSpec) => Object.fromEntries(fieldsOf(spec).map((field) => [field.name, field.kind]))

describe('fieldsOf', () => {
  it('chooses a control for each type', () =>
    expect(
      kinds(
        tool({
          path: { type: 'string' },
          command: { type: 'string' },
          all: { type: 'boolean' },
          offset: { type: 'integer' },
          ratio: { type: 'number' },
          mode: { type: 'string', enum: ['a', 'b'] },
          list: { type: 'array', items: { type: 'string' } },
        }),
      ),
    ).toEqual({
      path: 'text',
      command: 'multiline',
      all: 'switch',
      offset: 'number',
      ratio: 'number',
      mode: 'choice',
      list: 'json',
    }))
  it('asks for what is needed first', () =>
    expect(
      fieldsOf(tool({ a: { type: 'string' }, b: { type: 'string' } }, ['b'])).map((field) => field.name),
    ).toEqual(['b', 'a']))
  it('makes no field of a schema without properties', () =>
    expect(fieldsOf({ name: 'x', description: '', params_schema: {} })).toEqual([]))
})

describe('initialValues', () => {
  it('takes a preset before a default', () => {
    const fields = fieldsOf(tool({ a: { type: 'string', default: 'd' }, n: { type: 'integer', default: 4 } }))
    expect(initialValues(fields)).toEqual({ a: 'd', n: '4' })
    expect(initialValues(fields, { a: 'p' })).toEqual({ a: 'p', n: '4' })
  })
})

describe('parseValues', () => {
  const ok = (params: Params) => ({ ok: true, params })
  it('leaves out what was not filled in', () =>
    expect(parse(tool({ a: { type: 'string' }, b: { type: 'boolean' } }), { a: '', b: false })).toEqual(
      ok({}),
    ))
  it('says false where the schema needs an answer', () =>
    expect(parse(tool({ b: { type: 'boolean' } }, ['b']), { b: false })).toEqual(ok({ b: false })))
  it('asks for what is needed', () =>
    expect(parse(tool({ a: { type: 'string' } }, ['a']), { a: '' })).toEqual({
      ok: false,
      errors: { a: 'a is needed.' },
    }))
  it('keeps text as it was typed', () =>
    expect(parse(tool({ a: { type: 'string' } }, ['a']), { a: ' x ' })).toEqual(ok({ a: ' x ' })))
  it.each([
    ['x', 'n must be a number.'],
    ['1.5', 'n must be a whole number.'],
    ['-1', 'n must be at least 0.'],
    ['11', 'n must be at most 10.'],
  ])('refuses the number %j', (text, error) =>
    expect(parse(tool({ n: { type: 'integer', minimum: 0, maximum: 10 } }), { n: text })).toEqual({
      ok: false,
      errors: { n: error },
    }),
  )
  it('reads a number', () =>
    expect(parse(tool({ n: { type: 'number' } }), { n: ' 1.5 ' })).toEqual(ok({ n: 1.5 })))
  it('holds text to its length, in characters, and its pattern', () => {
    const spec = tool({ a: { type: 'string', maxLength: 2, pattern: '^\\p{L}+$' } })
    expect(parse(spec, { a: 'éü' })).toEqual(ok({ a: 'éü' }))
    expect(parse(spec, { a: 'abc' }).ok).toBe(false)
    expect(parse(spec, { a: '1' }).ok).toBe(false)
  })
  it('leaves a pattern that it cannot read to the guest', () =>
    expect(parse(tool({ a: { type: 'string', pattern: '(' } }), { a: 'x' })).toEqual(ok({ a: 'x' })))
  it('takes JSON for everything else', () => {
    const spec = tool({ list: { type: 'array' } })
    expect(parse(spec, { list: '["a"]' })).toEqual(ok({ list: ['a'] }))
    expect(parse(spec, { list: '[' })).toEqual({ ok: false, errors: { list: 'list must be JSON.' } })
  })
})
