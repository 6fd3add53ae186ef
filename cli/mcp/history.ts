import type { AgentExecResponse } from '../../core/protocol/index.ts'

/** A dispatch that has ended, kept for the resources. */
export type Kept = { readonly tool: string; readonly response: AgentExecResponse }

const COUNT = 32
const BYTES = 64 * 1024 * 1024

/** The last dispatches of this server, bounded in number and in bytes; newest last. */
export class History {
  readonly #kept = new Map<string, Kept & { bytes: number }>()
  #bytes = 0

  keep(tool: string, response: AgentExecResponse): void {
    const bytes = sizeOf(response)
    this.#kept.set(response.command_id, { tool, response, bytes })
    this.#bytes += bytes
    for (const [id, oldest] of this.#kept) {
      if (this.#kept.size <= COUNT && this.#bytes <= BYTES) return
      this.#kept.delete(id)
      this.#bytes -= oldest.bytes
    }
  }

  get(id: string): Kept | undefined {
    return this.#kept.get(id)
  }

  /** Newest first. */
  list(): Kept[] {
    return [...this.#kept.values()].reverse()
  }
}

function sizeOf({ stdout, stderr, files = [] }: AgentExecResponse): number {
  const content = files.reduce((sum, file) => sum + ('data_b64' in file ? file.data_b64.length : 0), 0)
  return stdout.length + stderr.length + content
}
