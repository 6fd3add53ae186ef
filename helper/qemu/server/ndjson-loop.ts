import type { Readable } from 'node:stream'
import {
  BsmError,
  type HelperRequest,
  type HelperResponse,
  LineSplitter,
} from '../../../core/protocol/index.ts'
import type { Emit } from './events.ts'
import type { LineWriter } from './line-writer.ts'
import { errorResponse, parseRequest } from './requests.ts'

export type LoopInput = {
  input: Readable
  output: LineWriter
  emit: Emit
  handle: (request: HelperRequest) => Promise<HelperResponse>
  /** Told of a `shutdown` or the input's end while requests are still held: it aborts the boot. */
  stopEarly: () => void
}

/** The requests of one client: read as they come, answered as they are done, many in flight (§2). */
export class NdjsonLoop {
  readonly #io: LoopInput
  readonly #lines = new LineSplitter()
  readonly #ids = new Set<string>()
  #held: HelperRequest[] | null = []
  readonly #over: Promise<'eof' | 'shutdown'>
  #end: (how: 'eof' | 'shutdown') => void = () => undefined

  constructor(io: LoopInput) {
    this.#io = io
    this.#over = new Promise((resolve) => (this.#end = resolve))
    io.input.on('data', (chunk: Buffer) => {
      for (const line of this.#lines.push(chunk)) this.#take(parseRequest(line))
    })
    const ended = () => {
      if (this.#held !== null) io.stopEarly()
      this.#end('eof')
    }
    io.input.once('end', ended)
    io.input.once('close', ended)
    io.input.once('error', ended)
  }

  /** How the conversation ended. */
  get over(): Promise<'eof' | 'shutdown'> {
    return this.#over
  }

  /** Answers what was held while the VM booted; from now on nothing is held. */
  release(): void {
    const held = this.#held ?? []
    this.#held = null
    for (const request of held) void this.#answer(request)
  }

  #take(parsed: ReturnType<typeof parseRequest>): void {
    if (parsed.kind === 'refused') {
      this.#refuse(parsed.error, parsed.requestId)
      return
    }
    const { request } = parsed
    if (this.#ids.has(request.request_id)) {
      this.#refuse(
        new BsmError('BAD_REQUEST', 'agent', 'The request_id is in use by a request under way.'),
        null,
      )
      return
    }
    this.#ids.add(request.request_id)
    if (this.#held === null) void this.#answer(request)
    else {
      this.#held.push(request)
      if (request.kind === 'shutdown') this.#io.stopEarly()
    }
  }

  #refuse(error: BsmError, requestId: string | null): void {
    this.#io.emit({ event: 'protocol_error', message: error.message })
    if (requestId !== null) this.#io.output.write(errorResponse(requestId, error))
  }

  async #answer(request: HelperRequest): Promise<void> {
    let response: HelperResponse
    try {
      response = await this.#io.handle(request)
    } catch (thrown) {
      response = errorResponse(request.request_id, BsmError.from(thrown, 'helper'))
    }
    this.#ids.delete(request.request_id)
    this.#io.output.write(response)
    if (request.kind === 'shutdown') this.#end('shutdown')
  }
}
