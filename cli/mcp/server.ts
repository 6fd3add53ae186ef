import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js'
import type { RequestHandlerExtra } from '@modelcontextprotocol/sdk/shared/protocol.js'
import {
  CallToolRequestSchema,
  ErrorCode,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  McpError,
  ReadResourceRequestSchema,
  type CallToolResult,
  type ServerNotification,
  type ServerRequest,
} from '@modelcontextprotocol/sdk/types.js'
import type { Readable, Writable } from 'node:stream'
import type * as z from 'zod'
import { BsmError } from '../../core/protocol/index.ts'
import { version } from '../project-root.ts'
import { AppLink, type AppLinkOptions } from './app-link.ts'
import { CATALOGUE, INSTRUCTIONS, TOOL_NAMES, type ToolName } from './catalogue.ts'
import { cancelResult, dispatchResult, plainResult, pollResult } from './content.ts'
import { Dispatches, requestOf } from './dispatches.ts'
import { History } from './history.ts'
import { Jobs } from './jobs.ts'
import { Progress } from './progress.ts'
import { errorReport } from './report.ts'
import { listResources, readResource, TEMPLATES } from './resources.ts'
import { CancelInput, NoInput, PollInput, RunInput, type Started, type StatusResult } from './schemas.ts'
import { lastResetOf, noLastReset, noStatus, statusOf } from './status.ts'
import { fitLines, TRANSPORT_BYTES } from './stdin.ts'

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>

/** The MCP server: a thin way from a client on stdio to `agent.sock`. It decides nothing about the VM. */
class McpServer {
  readonly #link: AppLink
  readonly #history = new History()
  readonly #dispatches: Dispatches
  readonly #jobs: Jobs
  readonly #env: NodeJS.ProcessEnv

  constructor(options: AppLinkOptions) {
    this.#env = options.env
    this.#link = new AppLink(options)
    this.#dispatches = new Dispatches(this.#link, this.#history)
    this.#jobs = new Jobs(this.#dispatches)
  }

  attach(server: Server): void {
    server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [...CATALOGUE] }))
    server.setRequestHandler(CallToolRequestSchema, ({ params }, extra) =>
      this.#call(params.name, params.arguments ?? {}, extra),
    )
    server.setRequestHandler(ListResourcesRequestSchema, () => ({ resources: listResources(this.#history) }))
    server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({
      resourceTemplates: [...TEMPLATES],
    }))
    server.setRequestHandler(ReadResourceRequestSchema, ({ params }) =>
      readResource(params.uri, {
        history: this.#history,
        env: this.#env,
        status: () => this.#status(),
      }),
    )
  }

  close(): Promise<void> {
    return this.#link.close()
  }

  async #call(name: string, args: unknown, extra: Extra): Promise<CallToolResult> {
    const known = TOOL_NAMES.find((candidate) => candidate === name)
    if (known === undefined)
      throw new McpError(
        ErrorCode.InvalidParams,
        `there is no tool ${name}; there are: ${TOOL_NAMES.join(', ')}`,
      )
    try {
      return await this.#run(known, args, extra)
    } catch (error) {
      return refused(BsmError.from(error, 'app'))
    }
  }

  async #run(name: ToolName, args: unknown, extra: Extra): Promise<CallToolResult> {
    switch (name) {
      case 'sandbox_run':
        return dispatchResult(await this.#runNow(parse(RunInput, args), extra))
      case 'exec_start':
        return plainResult(await this.#start(parse(RunInput, args)))
      case 'exec_poll':
        return pollResult(await this.#jobs.poll(parse(PollInput, args), extra.signal))
      case 'exec_cancel':
        return cancelResult(await this.#jobs.cancel(parse(CancelInput, args)))
      case 'sandbox_status':
        parse(NoInput, args)
        return plainResult(await this.#status())
      case 'last_reset':
        parse(NoInput, args)
        return plainResult(
          await this.#link
            .use(async (sandbox) => lastResetOf(await sandbox.status()))
            .catch((error: unknown) => noLastReset(BsmError.from(error, 'app'))),
        )
    }
  }

  async #runNow(input: RunInput, extra: Extra) {
    const request = requestOf(input)
    const { signal } = extra
    const token = extra._meta?.progressToken
    if (token === undefined) return this.#dispatches.run(request, { signal })
    using progress = new Progress((value, message) => {
      extra
        .sendNotification({
          method: 'notifications/progress',
          params: { progressToken: token, progress: value, message },
        })
        // A client that is gone needs no progress.
        .catch(() => undefined)
    }, input.deadline_ms)
    return await this.#dispatches.run(request, {
      signal,
      onState: (state) => progress.entered(state),
      onOutput: ({ data }) => progress.output(data.length),
    })
  }

  /** Asks first whether anything can run: else a client would learn it only when it polls. */
  async #start(input: RunInput): Promise<Started> {
    const request = requestOf(input)
    try {
      await this.#link.use((sandbox) => sandbox.status())
      return this.#jobs.start(request)
    } catch (error) {
      return { dispatch_id: null, state: 'done', error: errorReport(BsmError.from(error, 'app')) }
    }
  }

  #status(): Promise<StatusResult> {
    return this.#link
      .use(async (sandbox) => statusOf(await sandbox.status()))
      .catch((error: unknown) => noStatus(BsmError.from(error, 'app')))
  }
}

/** Throws BAD_REQUEST with the first thing that is wrong. */
function parse<S extends z.ZodType>(schema: S, args: unknown): z.infer<S> {
  const parsed = schema.safeParse(args)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const where = issue === undefined || issue.path.length === 0 ? '' : ` at ${issue.path.join('.')}`
  throw new BsmError(
    'BAD_REQUEST',
    'agent',
    `the arguments are ill-formed${where}: ${issue?.message ?? 'they are unknown'}`,
    { nextStep: 'see the input schema of the tool' },
  )
}

/** For a call that did not become anything of its tool's: without structured content, for no schema fits it. */
const refused = (error: BsmError): CallToolResult => ({
  content: [{ type: 'text', text: JSON.stringify({ error: errorReport(error) }) }],
  isError: true,
})

/** Serves one client until its side of stdin ends or `signal` aborts; what runs then is cancelled and wiped. */
export async function serveMcp(
  { stdin, stdout }: { stdin: Readable; stdout: Writable },
  options: AppLinkOptions,
  signal: AbortSignal,
): Promise<void> {
  const ours = new McpServer(options)
  const server = new Server(
    { name: 'brainstorm-sandbox', title: 'Brainstorm Sandbox', version: version() },
    { capabilities: { tools: {}, resources: {} }, instructions: INSTRUCTIONS },
  )
  ours.attach(server)
  server.onerror = (error) => options.log(error.message)
  const lines = fitLines(stdin, options.log)
  const ended = new Promise<void>((resolve) => {
    lines.once('end', resolve)
    lines.once('error', resolve)
    server.onclose = resolve
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  await server.connect(new StdioServerTransport(lines, stdout, { maxBufferSize: TRANSPORT_BYTES }))
  await ended
  await Promise.all([server.close(), ours.close()])
}
