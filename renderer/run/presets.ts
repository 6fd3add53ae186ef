import type { ToolSpec } from '../protocol.ts'
import type { Params } from './schema-form.ts'

export type Preset = { label: string; tool: string; params: Params }

/** First things to try; the second and third together show what a reset is. */
const ALL: readonly Preset[] = [
  { label: 'Which kernel?', tool: 'uname', params: {} },
  {
    label: 'Leave a file',
    tool: 'sh',
    params: { command: 'echo "I was here" > /tmp/left-behind\nls -l /tmp' },
  },
  {
    label: 'Look for it',
    tool: 'sh',
    params: { command: 'cat /tmp/left-behind || echo "Nothing was left."' },
  },
]

/** Those whose tool this image has. */
export const presetsFor = (tools: readonly ToolSpec[]): Preset[] =>
  ALL.filter((preset) => tools.some((tool) => tool.name === preset.tool))
