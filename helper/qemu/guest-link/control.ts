import { randomBytes } from 'node:crypto'
import type * as z from 'zod'
import {
  BsmError,
  type FromGuest,
  type GuestControl,
  type Hello,
  HeartbeatAck,
  KillAck,
  ResumeAck,
  WarmupAck,
} from '../../../core/protocol/index.ts'
import type { Channel } from './channel.ts'
import { type Deferred, deferred, within } from '../deadline.ts'
import { Requests } from './requests.ts'

/** What binds a VM to its place in this state directory's history; never used for a second VM (§3). */
export type EpochKey = { epoch: number; token: string }

/** The guest answered, and would not: another thing than a guest that is gone. */
export class GuestRefusal extends BsmError {
  constructor(code: string, message: string) {
    super('VM_LIFECYCLE_ERROR', 'guest', `The guest refused: ${message}`, {
      nextStep: 'Reset to get a new VM.',
      cause: code,
    })
  }
}

const ENTROPY_BYTES = 64

/** The control protocol on port 1027: Hello, Resume, Warmup, Heartbeat, Kill (§3). */
export class Control {
  readonly #channel: Channel
  readonly #requests = new Requests<FromGuest>()
  #hello: Deferred<Hello> = deferred<Hello>()
  #beats = 0

  constructor(channel: Channel) {
    this.#channel = channel
  }

  /** The guest's first message of the present connection. */
  async hello(ms: number): Promise<Hello> {
    if (!this.#channel.isOpen)
      throw new BsmError('GUEST_UNREACHABLE', 'guest', 'The control port of the guest is not connected.')
    return await within(
      ms,
      this.#hello.promise,
      () => new BsmError('GUEST_UNREACHABLE', 'guest', `The guest did not say Hello within ${ms} ms.`),
    )
  }

  /**
   * Gives the guest fresh entropy and the time, and thaws it. The first binds epoch and token; a repeat
   * with the same ones reseeds and sets the clock again.
   */
  async resume(key: EpochKey, ms: number): Promise<ResumeAck> {
    return await this.#ask('Resume', ResumeAck, ms, {
      type: 'Resume',
      epoch: key.epoch,
      token: key.token,
      entropy: randomBytes(ENTROPY_BYTES).toString('base64'),
      wall_clock_ns: wallClockNs(),
    })
  }

  /** Runs the spawn path once without counting as a dispatch. */
  async warmup(ms: number): Promise<void> {
    await this.#ask('Warmup', WarmupAck, ms, { type: 'Warmup' })
  }

  async heartbeat(ms: number): Promise<z.infer<typeof HeartbeatAck>> {
    return await this.#ask('Heartbeat', HeartbeatAck, ms, { type: 'Heartbeat', seq: ++this.#beats })
  }

  async kill(commandId: string, ms: number): Promise<z.infer<typeof KillAck>> {
    return await this.#ask('Kill', KillAck, ms, { type: 'Kill', command_id: commandId })
  }

  take(message: FromGuest): void {
    switch (message.type) {
      case 'Hello':
        this.#hello.resolve(message)
        return
      case 'ResumeAck':
      case 'WarmupAck':
      case 'HeartbeatAck':
      case 'KillAck':
        this.#requests.answer(message.type.slice(0, -'Ack'.length), message)
        return
      case 'Error': {
        const error = new GuestRefusal(message.code, message.message)
        if (message.refused !== undefined) this.#requests.refuse(message.refused, error)
        else this.#requests.failAll(error)
        return
      }
      default:
        return // not a control message: of no consequence here
    }
  }

  closed(error: BsmError): void {
    this.#requests.failAll(error)
    this.#hello.reject(error)
    this.#hello = deferred<Hello>()
  }

  async #ask<S extends z.ZodType<FromGuest>>(
    key: string,
    answer: S,
    ms: number,
    message: GuestControl,
  ): Promise<z.infer<S>> {
    return answer.parse(await this.#requests.ask(key, ms, () => this.#channel.send(message)))
  }
}

const wallClockNs = (): string => String(BigInt(Date.now()) * 1_000_000n)
