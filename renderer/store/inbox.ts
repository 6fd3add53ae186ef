import type { BridgeEvent, Output } from '../bridge/index.ts'
import type { AppSnapshot } from '../protocol.ts'
import type { Change } from './state.ts'

/** Characters of base64 held while nobody looks; older output is let go, as it would be on the page. */
const HELD = 512 * 1024

/**
 * Gathers what is pushed and hands it on once a frame, so that a flood of events costs one render.
 * While nobody sees the page nothing is handed on at all, until {@link Inbox.seen}.
 */
export class Inbox {
  readonly #apply: (change: Change) => void
  readonly #nextFrame: (then: () => void) => void
  readonly #isSeen: () => boolean
  #snapshot: AppSnapshot | null = null
  #outputs: Output[] = []
  #held = 0
  #scheduled = false

  constructor(
    apply: (change: Change) => void,
    nextFrame: (then: () => void) => void,
    isSeen: () => boolean = () => true,
  ) {
    this.#apply = apply
    this.#nextFrame = nextFrame
    this.#isSeen = isSeen
  }

  take(event: BridgeEvent): void {
    switch (event.type) {
      case 'connection':
        return this.#apply(event)
      case 'log_grew':
        // Whoever comes back reads on from where they were.
        if (this.#isSeen()) this.#apply(event)
        return
      case 'snapshot':
        this.#snapshot = event.snapshot
        break
      case 'output':
        this.#hold(event)
    }
    this.#schedule()
  }

  /** Somebody looks again: what came meanwhile is shown in the next frame. */
  seen(): void {
    if (this.#snapshot !== null || this.#outputs.length > 0) this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled || !this.#isSeen()) return
    this.#scheduled = true
    this.#nextFrame(() => this.flush())
  }

  flush(): void {
    this.#scheduled = false
    const change: Change = { type: 'pushed', snapshot: this.#snapshot, outputs: this.#outputs }
    this.#snapshot = null
    this.#outputs = []
    this.#held = 0
    this.#apply(change)
  }

  #hold(output: Output): void {
    this.#outputs.push(output)
    this.#held += output.data_b64.length
    let drop = 0
    while (this.#held > HELD && drop < this.#outputs.length - 1) {
      this.#held -= this.#outputs[drop]?.data_b64.length ?? 0
      drop += 1
    }
    if (drop > 0) this.#outputs.splice(0, drop)
  }
}
