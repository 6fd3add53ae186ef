import type { Socket } from 'node:net'
import * as z from 'zod'
import type { BsmError } from '../../../core/protocol/index.ts'
import { LineSplitter, parseStrictJson } from '../../../core/protocol/index.ts'
import { type Deferred, deferred, hypervisorError, within } from '../deadline.ts'

const Greeting = z.object({
  QMP: z.object({
    version: z.object({ qemu: z.object({ major: z.int(), minor: z.int(), micro: z.int() }) }),
  }),
})
const Reply = z.object({
  id: z.int().optional(),
  return: z.json().optional(),
  error: z.object({ class: z.string(), desc: z.string() }).optional(),
})
const Event = z.object({ event: z.string(), data: z.record(z.string(), z.json()).optional() })
export type QmpEvent = z.infer<typeof Event>

const COMMAND_DEADLINE_MS = 10_000
const CAPABILITIES_ID = 0

/** QEMU's machine protocol over an inherited socket pair. */
export class Qmp {
  readonly #socket: Socket
  readonly #pending = new Map<number, Deferred<unknown>>()
  readonly #listeners = new Set<(event: QmpEvent) => void>()
  readonly #greeted = deferred<string>()
  readonly #end = deferred<never>()
  #version = ''
  #nextId = CAPABILITIES_ID + 1
  #closed: BsmError | null = null

  constructor(socket: Socket) {
    this.#socket = socket
    const lines = new LineSplitter(4 * 1024 * 1024)
    socket.on('data', (chunk: Buffer) => {
      for (const line of lines.push(chunk)) if (line.kind === 'line') this.#take(line.text)
    })
    socket.on('error', () => undefined) // `close` follows
    socket.on('close', () => this.#close())
  }

  /** Rejects when QEMU has ended; never resolves. For whoever waits for an event. */
  get ended(): Promise<never> {
    return this.#end.promise
  }

  /** Resolves with QEMU's version once it takes commands. */
  async ready(ms: number): Promise<string> {
    return await within(ms, this.#greeted.promise, () =>
      hypervisorError(
        `QEMU did not answer within ${ms} ms.`,
        'Look at its message in the log and start again.',
      ),
    )
  }

  async execute(command: string, args?: Record<string, unknown>, ms = COMMAND_DEADLINE_MS): Promise<unknown> {
    if (this.#closed !== null) throw this.#closed
    const id = this.#nextId++
    const answer = deferred<unknown>()
    this.#pending.set(id, answer)
    this.#socket.write(JSON.stringify({ execute: command, ...(args ? { arguments: args } : {}), id }) + '\n')
    try {
      return await within(ms, answer.promise, () =>
        hypervisorError(`QEMU did not answer "${command}" within ${ms} ms.`, 'Reset the VM.'),
      )
    } finally {
      this.#pending.delete(id)
    }
  }

  on(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #take(text: string): void {
    let message: unknown
    try {
      message = parseStrictJson(text)
    } catch {
      return // not ours to repair: whoever waits gets its deadline
    }
    const greeting = Greeting.safeParse(message)
    if (greeting.success) {
      const { major, minor, micro } = greeting.data.QMP.version.qemu
      this.#version = `${major}.${minor}.${micro}`
      this.#socket.write(`{"execute":"qmp_capabilities","id":${CAPABILITIES_ID}}\n`)
      return
    }
    const event = Event.safeParse(message)
    if (event.success) {
      for (const listener of this.#listeners) listener(event.data)
      return
    }
    const reply = Reply.safeParse(message)
    if (!reply.success || reply.data.id === undefined) return
    if (reply.data.id === CAPABILITIES_ID) this.#greeted.resolve(this.#version)
    const pending = this.#pending.get(reply.data.id)
    if (reply.data.error !== undefined)
      pending?.reject(hypervisorError(`QEMU refused: ${reply.data.error.desc}`, 'Reset the VM.'))
    else pending?.resolve(reply.data.return)
  }

  #close(): void {
    this.#closed ??= hypervisorError('QEMU has ended.', 'Reset to get a new VM.')
    this.#greeted.reject(this.#closed)
    this.#end.reject(this.#closed)
    for (const pending of this.#pending.values()) pending.reject(this.#closed)
    this.#pending.clear()
  }
}
