import * as z from 'zod'
import type { ToolSpec } from '../../core/protocol/index.ts'
import type { Params } from '../../client/index.ts'
import { escapeLine } from '../format/escape.ts'
import { UsageError } from '../usage-error.ts'

const ParamsJson = z.record(z.string(), z.json())

/** `--params`: a JSON object. */
export function parseParams(text: string): Params {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new UsageError(`--params is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
  const parsed = ParamsJson.safeParse(value)
  if (!parsed.success) throw new UsageError(`--params must be a JSON object, like '{"text":"hello"}'`)
  return parsed.data
}

/** The part of a tool's JSON Schema that trailing words need. */
const Schema = z.object({
  required: z.array(z.string()).default([]),
  properties: z.record(z.string(), z.looseObject({ type: z.unknown() })).default({}),
})

/** Trailing words as the one required parameter of a tool, where that is a string: `exec sh -- 'uname -a'`. */
export function wordsToParams(tool: ToolSpec, words: readonly string[]): Params {
  const schema = Schema.safeParse(tool.params_schema)
  const required = schema.data?.required ?? []
  const [only] = required
  if (only === undefined || required.length > 1 || schema.data?.properties[only]?.type !== 'string')
    throw new UsageError(
      `${escapeLine(tool.name)} has no single required text parameter that the words could be; use --params`,
    )
  return { [only]: words.join(' ') }
}

/** The tool of that name, or a sentence with those there are. */
export function findTool(tools: readonly ToolSpec[], name: string): ToolSpec {
  const tool = tools.find((candidate) => candidate.name === name)
  if (tool !== undefined) return tool
  const names = tools.map((candidate) => escapeLine(candidate.name)).join(', ')
  throw new UsageError(
    tools.length === 0
      ? `the tools are not known yet, so the words cannot be mapped to parameters; use --params`
      : `there is no tool ${escapeLine(name)}; there are: ${names}`,
  )
}
