import type { Duplex } from 'node:stream'
import { randomInt } from 'node:crypto'
import {
  BsmError,
  type ChannelStatus,
  clip,
  FROM_GUEST,
  type FromGuest,
  LIMITS,
  type Port,
} from '../../../core/protocol/index.ts'
import { type Deferred, deferred, now, within } from '../deadline.ts'
import { encodeFrame, FrameParser, frameLimit, nodeLimit, parseFrame } from './frames.ts'
import { type BridgeRecord, encodeClose, encodeData, encodeOpen, RECORD, RecordParser } from './records.ts'

/**
 * Silence after which a dial is given up and made again with a new id (§3). Far above what a VM takes that was just
 * restored under emulation: each dial more is work for it. Further ones wait longer, or a new dial would always
 * overtake the answer to the last.
 */
const REDIAL_MS = 500
const LONGEST_REDIAL_MS = 2_000
/** A Pong that takes longer makes the channel `stalled`. */
const STALLED_MS = 2_000

/** Anything we say to a guest. */
export type HostMessage = { type: string; [field: string]: unknown }

export type ChannelEvents = {
  message: (message: FromGuest) => void
  /** The connection is gone: closed by the guest, or broken by what it sent. */
  closed: (error: BsmError) => void
  changed: (status: ChannelStatus) => void
}

/**
 * One guest port: at most one connection at a time, numbered, over an inherited socket that lives as
 * long as the VM. Records of any other number are a dead connection's and are dropped.
 */
export class Channel {
  readonly port: Port
  readonly #socket: Duplex
  readonly #events: ChannelEvents
  readonly #records = new RecordParser()
  #frames: FrameParser
  #connId = randomInt(1, 2 ** 31)
  #state: ChannelStatus['state'] = 'closed'
  #opening: Deferred<boolean> | null = null
  #pings = new Map<string, number>()
  #pingCount = 0
  #silence: NodeJS.Timeout | null = null
  #broken: BsmError | null = null
  #counters = { bytes_in: 0, bytes_out: 0, frames_in: 0, frames_out: 0, reconnects: 0 }
  #rttMs: number | null = null
  #lastError: string | null = null
  #everOpen = false

  constructor(port: Port, socket: Duplex, events: ChannelEvents) {
    this.port = port
    this.#socket = socket
    this.#events = events
    this.#frames = new FrameParser(frameLimit(port))
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('close', () => this.#break(this.#gone('The VM has ended.')))
  }

  get isOpen(): boolean {
    return this.#state === 'open' || this.#state === 'stalled'
  }

  status(): ChannelStatus {
    return {
      port: this.port,
      state: this.#state,
      rtt_ms: this.#rttMs,
      ...this.#counters,
      last_error: this.#lastError,
    }
  }

  /** Connects, dialling again with a fresh id after silence, for at most `ms`. */
  async open(ms: number): Promise<void> {
    if (this.isOpen) return
    const end = now() + ms
    this.#become('connecting')
    for (let silence = REDIAL_MS; now() < end; silence = Math.min(2 * silence, LONGEST_REDIAL_MS)) {
      if (this.#broken !== null) throw this.#broken
      if (await this.#dial(Math.min(silence, end - now()))) return
    }
    this.#become('closed')
    throw this.#gone(`Port ${this.port} of the guest did not answer within ${ms} ms.`)
  }

  /** Sends one message; throws `GUEST_UNREACHABLE` when there is no connection. */
  send(message: HostMessage): void {
    if (!this.isOpen) throw this.#broken ?? this.#gone(`Port ${this.port} of the guest is not connected.`)
    const frame = encodeFrame(message)
    this.#counters.bytes_out += frame.length
    this.#counters.frames_out += 1
    this.#socket.write(encodeData(this.#connId, frame))
  }

  /** A Pong that is late shows in {@link status}. */
  noticeStall(): void {
    const oldest = this.#pings.values().next().value
    if (this.isOpen && oldest !== undefined && now() - oldest > STALLED_MS) this.#become('stalled')
  }

  /** Measures the round trip; the answer shows in {@link status}. */
  ping(): void {
    if (!this.isOpen) return
    this.noticeStall()
    if (this.#pings.size >= 4) return
    const nonce = `${this.#connId}-${++this.#pingCount}`
    this.#pings.set(nonce, now())
    this.send({ type: 'Ping', nonce })
  }

  /** The VM is paused: what is still unanswered would measure the pause. */
  forgetPings(): void {
    this.#pings.clear()
  }

  /** Ends the connection, not the port: a later {@link open} gets a new one. */
  close(): void {
    if (this.isOpen) this.#socket.write(encodeClose(this.#connId))
    this.#reset()
    this.#become('closed')
  }

  async #dial(ms: number): Promise<boolean> {
    this.#reset()
    this.#connId = (this.#connId % (2 ** 32 - 1)) + 1
    this.#opening = deferred<boolean>()
    this.#socket.write(encodeOpen(this.#connId))
    const answered = await within(ms, this.#opening.promise, () => new Error('silence')).catch(() => null)
    this.#opening = null
    if (answered !== true) {
      // Refused at once: the guest is there, its dispatcher not yet. Waiting keeps this from spinning.
      if (answered === false) await new Promise((resolve) => setTimeout(resolve, Math.min(20, ms)))
      return false
    }
    if (this.#everOpen) this.#counters.reconnects += 1
    this.#everOpen = true
    return true
  }

  #receive(chunk: Buffer): void {
    if (this.#broken !== null) return
    let records: BridgeRecord[]
    try {
      records = this.#records.push(chunk)
    } catch (cause) {
      this.#break(
        new BsmError('FRAME_MALFORMED', 'guest', `Port ${this.port} sent what is no bridge record.`, {
          nextStep: 'Reset the VM.',
          cause,
        }),
      )
      return
    }
    for (const record of records) if (record.connId === this.#connId) this.#takeRecord(record)
  }

  #takeRecord(record: BridgeRecord): void {
    switch (record.kind) {
      case RECORD.open:
        // Here, not in the dialler: the first frame may stand in the same chunk.
        if (this.#opening !== null) this.#become('open')
        this.#opening?.resolve(true)
        return
      case RECORD.close:
        if (this.#opening !== null && !this.isOpen) this.#opening.resolve(false)
        else if (this.isOpen) this.#drop(this.#closedByGuest())
        return
      case RECORD.data:
        if (this.isOpen) this.#takeData(record.data)
    }
  }

  #takeData(data: Buffer): void {
    this.#counters.bytes_in += data.length
    try {
      for (const body of this.#frames.push(data)) {
        this.#counters.frames_in += 1
        const parsed = FROM_GUEST[this.port].safeParse(parseFrame(body, nodeLimit(this.port)))
        if (!parsed.success)
          throw new BsmError(
            'FRAME_MALFORMED',
            'guest',
            `Port ${this.port} sent a message of no known form.`,
            {
              nextStep: 'Reset the VM.',
              cause: clip(parsed.error.message),
            },
          )
        this.#takeMessage(parsed.data)
      }
    } catch (error) {
      const refusal = BsmError.from(error, 'helper')
      this.#refuse(refusal)
      return
    }
    this.#watchSilence()
  }

  #takeMessage(message: FromGuest): void {
    if (message.type === 'Pong') {
      const sent = this.#pings.get(message.nonce)
      if (sent === undefined) return
      this.#pings.delete(message.nonce)
      this.#rttMs = now() - sent
      if (this.#state === 'stalled') this.#become('open')
      return
    }
    if (message.type === 'Error') this.#lastError = clip(`${message.code}: ${message.message}`)
    this.#events.message(message)
  }

  /** A frame begun and then 30 s without a byte is malformed (§3). */
  #watchSilence(): void {
    if (this.#silence !== null) clearTimeout(this.#silence)
    this.#silence = null
    if (this.#frames.held === 0) return
    this.#silence = setTimeout(() => {
      this.#refuse(new BsmError('FRAME_MALFORMED', 'guest', `Port ${this.port} fell silent inside a frame.`))
    }, LIMITS.frameSilenceMs)
  }

  /** Says why, then closes. */
  #refuse(error: BsmError): void {
    if (this.isOpen) this.send({ type: 'Error', code: error.code, message: error.message })
    if (this.isOpen) this.#socket.write(encodeClose(this.#connId))
    this.#drop(error)
  }

  #drop(error: BsmError): void {
    this.#lastError = clip(error.message)
    this.#reset()
    this.#become('closed')
    this.#events.closed(error)
  }

  #break(error: BsmError): void {
    if (this.#broken !== null) return
    this.#broken = error
    this.#opening?.resolve(false)
    if (this.#state === 'closed') return
    this.#drop(error)
  }

  #reset(): void {
    this.#frames = new FrameParser(frameLimit(this.port))
    this.#pings.clear()
    if (this.#silence !== null) clearTimeout(this.#silence)
    this.#silence = null
  }

  #become(state: ChannelStatus['state']): void {
    if (this.#state === state) return
    this.#state = state
    this.#events.changed(this.status())
  }

  /** A frame that was begun and then cut off is no ordinary end (§3). */
  #closedByGuest(): BsmError {
    if (this.#frames.held === 0) return this.#gone(`The guest closed port ${this.port}.`)
    return new BsmError('FRAME_MALFORMED', 'guest', `The guest closed port ${this.port} inside a frame.`, {
      nextStep: 'Reset to get a new VM.',
    })
  }

  #gone(message: string): BsmError {
    return new BsmError('GUEST_UNREACHABLE', 'guest', message, { nextStep: 'Reset to get a new VM.' })
  }
}
