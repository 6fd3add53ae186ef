import type { AgentExecResponse, OutputStream } from '../../core/protocol/index.ts'
import { outputBytes, type Output } from '../../client/index.ts'
import { StreamEscaper } from '../format/escape.ts'
import type { Io, Out } from '../io.ts'

/** One of the guest's streams on its way to ours. */
class LiveStream {
  readonly #out: Out
  readonly #escaper: StreamEscaper | null
  seen = 0
  #last = '\n'

  constructor(out: Out, raw: boolean) {
    this.#out = out
    this.#escaper = out.isTTY === true && !raw ? new StreamEscaper() : null
  }

  push(data: Buffer): void {
    this.seen += data.length
    this.#write(this.#escaper?.push(data) ?? data)
  }

  end(): void {
    this.#write(this.#escaper?.end() ?? '')
    // So that what follows on a terminal begins on a line of its own.
    if (this.#out.isTTY === true && this.#last !== '\n') this.#out.write('\n')
  }

  #write(what: string | Buffer): void {
    if (what.length === 0) return
    this.#last = typeof what === 'string' ? what.slice(-1) : what.subarray(-1).toString('latin1')
    this.#out.write(what)
  }
}

/** Shows a dispatch's output as it appears; on a terminal escaped, unless `raw`. */
export class LiveOutput {
  readonly #streams: Record<OutputStream, LiveStream>

  constructor(io: Io, raw: boolean) {
    this.#streams = { stdout: new LiveStream(io.stdout, raw), stderr: new LiveStream(io.stderr, raw) }
  }

  push({ stream, data }: Output): void {
    this.#streams[stream].push(data)
  }

  /** Shows what the response has and the events had not; returns a sentence for each stream with a hole. */
  finish(response: AgentExecResponse): string[] {
    const holes: string[] = []
    for (const name of ['stdout', 'stderr'] as const) {
      const stream = this.#streams[name]
      if (stream.seen === 0) stream.push(outputBytes(response, name))
      else {
        const missing = (response[`${name}_bytes`] ?? stream.seen) - stream.seen
        if (missing > 0) holes.push(`${missing} bytes of live ${name} were missed; --json has the result`)
      }
      stream.end()
    }
    return holes
  }
}
