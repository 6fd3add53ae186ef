import type { ToolSpec } from '../protocol.ts'

/** A form made of a tool's JSON Schema: what the image declares is all that the page knows of a tool. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type Params = Record<string, Json>
type Schema = { [key: string]: unknown }

type Common = { name: string; label: string; help: string | null; required: boolean; schema: Schema }
export type Field = Common &
  (
    | { kind: 'text' }
    | { kind: 'multiline' }
    | { kind: 'choice'; options: string[] }
    | { kind: 'switch' }
    | { kind: 'number'; integer: boolean }
    /** Anything else is written as JSON. */
    | { kind: 'json' }
  )

/** What stands in the form: text of text fields, true or false of switches. */
export type Values = Readonly<Record<string, string | boolean>>

const MULTILINE = /^(command|script|text|code|content|body|stdin)$/

export function fieldsOf(tool: ToolSpec): Field[] {
  const schema: Schema = tool.params_schema
  const properties = record(schema['properties'])
  const required = Array.isArray(schema['required']) ? schema['required'] : []
  const fields = Object.entries(properties).map(([name, property]): Field => {
    const own = record(property)
    const common: Common = {
      name,
      label: string(own['title']) ?? name,
      help: string(own['description']),
      required: required.includes(name),
      schema: own,
    }
    return { ...common, ...widgetOf(name, own) }
  })
  return fields.toSorted((a, b) => Number(b.required) - Number(a.required))
}

function widgetOf(name: string, schema: Schema) {
  const options = Array.isArray(schema['enum']) ? schema['enum'] : null
  if (options !== null && options.every((option) => typeof option === 'string'))
    return { kind: 'choice', options } as const
  switch (schema['type']) {
    case 'string':
      return MULTILINE.test(name) ? ({ kind: 'multiline' } as const) : ({ kind: 'text' } as const)
    case 'boolean':
      return { kind: 'switch' } as const
    case 'integer':
      return { kind: 'number', integer: true } as const
    case 'number':
      return { kind: 'number', integer: false } as const
    default:
      return { kind: 'json' } as const
  }
}

export function initialValues(fields: readonly Field[], preset: Params = {}): Values {
  return Object.fromEntries(
    fields.map((field) => {
      const start = preset[field.name] ?? field.schema['default']
      if (field.kind === 'switch') return [field.name, start === true]
      if (start === undefined || start === null)
        return [field.name, field.kind === 'choice' && field.required ? (field.options[0] ?? '') : '']
      return [field.name, typeof start === 'string' && field.kind !== 'json' ? start : JSON.stringify(start)]
    }),
  )
}

export type Parsed = { ok: true; params: Params } | { ok: false; errors: Readonly<Record<string, string>> }

/** The parameters that the values stand for, or a sentence for each field that is wrong. */
export function parseValues(fields: readonly Field[], values: Values): Parsed {
  const params: Params = {}
  const errors: Record<string, string> = {}
  for (const field of fields) {
    const read = readField(field, values[field.name])
    if ('error' in read) errors[field.name] = read.error
    else if (read.value !== undefined) params[field.name] = read.value
  }
  return Object.keys(errors).length > 0 ? { ok: false, errors } : { ok: true, params }
}

type Read = { value: Json | undefined } | { error: string }

function readField(field: Field, value: string | boolean | undefined): Read {
  if (field.kind === 'switch') {
    // A switch that was never asked for stays out, so that the tool's own default holds.
    return {
      value: value === true ? true : field.required || field.schema['default'] === true ? false : undefined,
    }
  }
  const text = typeof value === 'string' ? value : ''
  if (text === '') {
    if (!field.required) return { value: undefined }
    const emptyAllowed =
      (field.kind === 'text' || field.kind === 'multiline') && field.schema['minLength'] === 0
    return emptyAllowed ? { value: '' } : { error: `${field.label} is needed.` }
  }
  switch (field.kind) {
    case 'number':
      return readNumber(field, text)
    case 'json':
      return readJson(field, text)
    case 'choice':
      return field.options.includes(text)
        ? { value: text }
        : { error: `${field.label} must be one of ${field.options.join(', ')}.` }
    case 'text':
    case 'multiline':
      return readText(field, text)
  }
}

function readNumber(field: Field & { kind: 'number' }, text: string): Read {
  const n = Number(text.trim())
  if (text.trim() === '' || !Number.isFinite(n)) return { error: `${field.label} must be a number.` }
  if (field.integer && !Number.isSafeInteger(n)) return { error: `${field.label} must be a whole number.` }
  const low = number(field.schema['minimum'])
  const high = number(field.schema['maximum'])
  if (low !== null && n < low) return { error: `${field.label} must be at least ${low}.` }
  if (high !== null && n > high) return { error: `${field.label} must be at most ${high}.` }
  return { value: n }
}

function readJson(field: Field, text: string): Read {
  try {
    return { value: JSON.parse(text) as Json }
  } catch {
    return { error: `${field.label} must be JSON.` }
  }
}

function readText(field: Field, text: string): Read {
  const characters = [...text].length
  const least = number(field.schema['minLength'])
  const most = number(field.schema['maxLength'])
  if (least !== null && characters < least)
    return { error: `${field.label} must have at least ${least} characters.` }
  if (most !== null && characters > most)
    return { error: `${field.label} must have at most ${most} characters.` }
  const pattern = string(field.schema['pattern'])
  if (pattern !== null && !matches(pattern, text))
    return { error: `${field.label} does not have the form that the tool asks for (${pattern}).` }
  return { value: text }
}

/** A pattern that this engine cannot read is left to the guest, which checks again anyway. */
function matches(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(text)
  } catch {
    return true
  }
}

const record = (value: unknown): Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Schema) : {}
const string = (value: unknown) => (typeof value === 'string' ? value : null)
const number = (value: unknown) => (typeof value === 'number' ? value : null)
