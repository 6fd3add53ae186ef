import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, read } from 'node:fs'
import { stat } from 'node:fs/promises'
import { promisify } from 'node:util'

const readAt = promisify(read)
/** Small enough that hashing a piece never holds the event loop for long (0.3 ms). */
const PIECE_BYTES = 512 * 1024

/** SHA-256 of what a descriptor reads, `sha256:<hex>`; the event loop goes on meanwhile. */
export async function hashDescriptor(fd: number): Promise<string> {
  const hash = createHash('sha256')
  let pieces = [Buffer.allocUnsafe(PIECE_BYTES), Buffer.allocUnsafe(PIECE_BYTES)] as const
  let reading = readAt(fd, pieces[0], 0, PIECE_BYTES, 0)
  for (let position = 0; ;) {
    const { bytesRead } = await reading
    if (bytesRead === 0) return `sha256:${hash.digest('hex')}`
    position += bytesRead
    // The next piece is read while this one is hashed.
    reading = readAt(fd, pieces[1], 0, PIECE_BYTES, position)
    hash.update(pieces[0].subarray(0, bytesRead))
    pieces = [pieces[1], pieces[0]]
  }
}

/** The root disk: opened once, handed to every VM by descriptor, and hashed through that descriptor. */
export class Disk {
  readonly path: string
  readonly fd: number
  readonly size: number
  readonly #device: number
  readonly #inode: number

  constructor(path: string) {
    this.path = path
    this.fd = openSync(path, constants.O_RDONLY)
    const facts = fstatSync(this.fd)
    this.size = facts.size
    this.#device = facts.dev
    this.#inode = facts.ino
  }

  async hash(): Promise<string> {
    return await hashDescriptor(this.fd)
  }

  /** Does the path still name the file that the VM has open? */
  async isStillNamed(): Promise<boolean> {
    try {
      const facts = await stat(this.path)
      return facts.dev === this.#device && facts.ino === this.#inode
    } catch {
      return false
    }
  }

  close(): void {
    closeSync(this.fd)
  }
}
