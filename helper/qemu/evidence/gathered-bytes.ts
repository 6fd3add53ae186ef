const BLOCK_BYTES = 64 * 1024

/** Joins pieces into blocks: very many small ones cost their bytes, not an object each. */
export class GatheredBytes {
  readonly #blocks: Buffer[] = []
  #used = BLOCK_BYTES

  add(bytes: Buffer): void {
    let rest = bytes
    while (rest.length > 0) {
      if (this.#used === BLOCK_BYTES) {
        this.#blocks.push(Buffer.alloc(BLOCK_BYTES))
        this.#used = 0
      }
      const copied = rest.copy(this.#blocks[this.#blocks.length - 1] ?? rest, this.#used)
      this.#used += copied
      rest = rest.subarray(copied)
    }
  }

  all(): Buffer {
    const length = this.#blocks.length * BLOCK_BYTES - (BLOCK_BYTES - this.#used)
    return Buffer.concat(this.#blocks, Math.max(0, length))
  }
}
