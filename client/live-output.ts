import type { AgentEvent, AgentExecResponse } from '../core/protocol/index.ts'
import type { Output } from './exec.ts'

/** Events and response travel on two connections; the last event may arrive this much later. */
const LATE_MS = 2_000

/** Picks the output of one dispatch out of the events, and knows when all of it is there. */
export class LiveOutput {
  readonly #commandId: string
  readonly #onOutput: (output: Output) => void
  #bytes = 0
  #ended = false
  #check: () => void = () => undefined

  constructor(commandId: string, onOutput: (output: Output) => void) {
    this.#commandId = commandId
    this.#onOutput = onOutput
  }

  take(event: AgentEvent): void {
    if (event.event !== 'exec_output' || event.command_id !== this.#commandId) return
    const data = Buffer.from(event.data_b64, 'base64')
    this.#bytes += data.length
    this.#onOutput({ stream: event.stream, data, seq: event.seq })
    this.#check()
  }

  /** No more events will come. */
  end(): void {
    this.#ended = true
    this.#check()
  }

  /** Waits until every byte that the response counts was delivered, but not for ever. */
  async complete(response: AgentExecResponse): Promise<void> {
    const expected = (response.stdout_bytes ?? 0) + (response.stderr_bytes ?? 0)
    if (this.#ended || this.#bytes >= expected) return
    await new Promise<void>((resolve) => {
      const late = setTimeout(resolve, LATE_MS)
      this.#check = () => {
        if (!this.#ended && this.#bytes < expected) return
        clearTimeout(late)
        resolve()
      }
    })
  }
}
