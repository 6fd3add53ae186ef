import { randomUUID } from 'node:crypto'
import * as z from 'zod'
import { BsmError } from '../../core/protocol/index.ts'
import type { ExecOptions, FileToSend, Output, Params } from '../../client/index.ts'
import type { AppLink } from './app-link.ts'
import type { History } from './history.ts'
import { refusal, resultOf } from './report.ts'
import type { DispatchResult, DispatchState, RunInput } from './schemas.ts'

export type Hooks = {
  signal?: AbortSignal
  onOutput?: (output: Output) => void
  onState?: (state: DispatchState) => void
}

/** One dispatch as it is asked for. */
export type Request = {
  id: string
  tool: string
  params: Params
  options: ExecOptions
  maxOutputBytes: number
}

/** Throws BAD_REQUEST for what no schema can say. */
export function requestOf(input: RunInput): Request {
  const { tool, params } = toolOf(input)
  return {
    id: randomUUID(),
    tool,
    params,
    options: {
      deadlineMs: input.deadline_ms,
      filesIn: (input.files_in ?? []).map(fileOf),
      filesOut: input.files_out ?? [],
      ...(input.stdin === undefined ? {} : { stdin: input.stdin }),
      ...(input.cwd === undefined ? {} : { cwd: input.cwd }),
      ...(input.env === undefined ? {} : { env: input.env }),
    },
    maxOutputBytes: input.max_output_bytes,
  }
}

function toolOf({ command, tool, params }: RunInput): { tool: string; params: Params } {
  if ((command === undefined) === (tool === undefined))
    throw badRequest('give command, or tool with params: one of them')
  if (command !== undefined) {
    if (params !== undefined) throw badRequest('params belong to tool; command takes none')
    return { tool: 'sh', params: { command } }
  }
  return { tool: tool ?? '', params: z.record(z.string(), z.json()).parse(params ?? {}) }
}

function fileOf({ path, text, base64, mode }: NonNullable<RunInput['files_in']>[number]): FileToSend {
  if ((text === undefined) === (base64 === undefined))
    throw badRequest(`give text or base64 for ${path}: one of them`)
  const data = text ?? Buffer.from(base64 ?? '', 'base64')
  return { path, data, ...(mode === undefined ? {} : { mode }) }
}

const badRequest = (message: string): BsmError =>
  new BsmError('BAD_REQUEST', 'agent', message, { nextStep: 'see the input schema of the tool' })

/** Sends dispatches to the app and keeps what came of them. */
export class Dispatches {
  readonly #link: AppLink
  readonly #history: History

  constructor(link: AppLink, history: History) {
    this.#link = link
    this.#history = history
  }

  /** Never rejects: what could not run is a result with its error. */
  async run(request: Request, hooks: Hooks = {}): Promise<DispatchResult> {
    const { id, tool, params, options, maxOutputBytes } = request
    try {
      const response = await this.#link.use(async (sandbox) => {
        const unfollow = hooks.onState ? await follow(id, sandbox, hooks.onState) : () => undefined
        try {
          const { signal, onOutput } = hooks
          return await sandbox.exec(tool, params, {
            ...options,
            commandId: id,
            ...(signal === undefined ? {} : { signal }),
            ...(onOutput === undefined ? {} : { onOutput }),
          })
        } finally {
          unfollow()
        }
      })
      this.#history.keep(tool, response)
      return resultOf(response, { tool, filesOut: options.filesOut ?? [], maxOutputBytes })
    } catch (error) {
      return refusal(tool, BsmError.from(error, 'app'))
    }
  }

  /** Kills it in the guest; {@link run} then answers with what there is, after the wipe. */
  cancel(id: string): Promise<boolean> {
    return this.#link.use((sandbox) => sandbox.cancel(id))
  }
}

/** Hears the states of one dispatch, as the app tells them. */
function follow(
  id: string,
  sandbox: Parameters<Parameters<AppLink['use']>[0]>[0],
  onState: (state: DispatchState) => void,
): Promise<() => void> {
  return sandbox.subscribe((event) => {
    if (event.event !== 'state_changed') return
    const state = event.snapshot.dispatches.find(({ command_id }) => command_id === id)?.state
    if (state !== undefined) onState(state)
  })
}
