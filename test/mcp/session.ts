import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import type { CallToolResult } from '@modelcontextprotocol/sdk/types.js'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DispatchResult } from '../../cli/mcp/schemas.ts'
import { repository } from '../support/image.ts'
import type { Scratch } from '../support/scratch.ts'
import { bsm } from '../cli/bsm.ts'

/** Longer than any call of a test may take; the SDK's own minute is not enough on a busy machine. */
const CALL_MS = 150_000
const KEPT = 64 * 1024

export type CallOptions = { signal?: AbortSignal; onprogress?: (progress: { progress: number }) => void }
type Command = { command: string; args: string[]; env: Record<string, string> }

/** The SDK's own client, with a real `bsm mcp` on the other end of its pipes. */
export class McpSession implements AsyncDisposable {
  readonly client = new Client({ name: 'test', version: '1.0.0' })
  readonly #transport: StdioClientTransport
  stderr = ''

  private constructor(command: Command, cwd: string) {
    this.#transport = new StdioClientTransport({
      ...command,
      cwd,
      stderr: 'pipe',
      maxBufferSize: 64 * 1024 * 1024,
    })
    this.#transport.stderr?.on(
      'data',
      (chunk: Buffer) => (this.stderr = (this.stderr + chunk.toString()).slice(-KEPT)),
    )
  }

  static start(scratch: Scratch, args: string[], env: Record<string, string> = {}): Promise<McpSession> {
    const command = process.execPath
    const all = [join(repository, 'build/bsm.mjs'), 'mcp', ...args]
    return McpSession.run({ command, args: all, env: scratch.environment(env) }, scratch.home)
  }

  static async run(command: Command, cwd: string): Promise<McpSession> {
    const session = new McpSession(command, cwd)
    await session.client.connect(session.#transport, { timeout: CALL_MS })
    return session
  }

  get pid(): number {
    return this.#transport.pid ?? 0
  }

  async call(name: string, args: object = {}, options: CallOptions = {}): Promise<CallToolResult> {
    const result = await this.client.callTool({ name, arguments: { ...args } }, undefined, {
      timeout: CALL_MS,
      ...options,
    })
    return result as CallToolResult
  }

  /** The structured result of a dispatch, checked against its schema. */
  async run(args: object, options: CallOptions = {}): Promise<DispatchResult> {
    return DispatchResult.parse((await this.call('sandbox_run', args, options)).structuredContent)
  }

  async resource(uri: string): Promise<{ text?: string; blob?: string; mimeType?: string | undefined }> {
    const { contents } = await this.client.readResource({ uri }, { timeout: CALL_MS })
    const [content] = contents
    if (content === undefined) throw new Error(`${uri} has no content`)
    return content
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close()
  }
}

/** The texts of a result, block by block. */
export const blocks = (result: CallToolResult): string[] =>
  result.content.map((block) => (block.type === 'text' ? block.text : `<${block.type}>`))

/** Gives a client of that name a token, kept where `bsm mcp` looks for it; returns the token. */
export async function addClient(scratch: Scratch, name: string): Promise<string> {
  const ran = await bsm(scratch, ['clients', 'add', name, '--save', '--json'])
  if (ran.code !== 0) throw new Error(ran.stderr)
  const { token_file } = JSON.parse(ran.stdout) as { token_file: string }
  return readFileSync(token_file, 'utf8').trim()
}
