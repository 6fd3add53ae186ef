import { read, readSync, write, writeSync } from 'node:fs'
import { promisify } from 'node:util'
import { hypervisorError } from '../deadline.ts'
import type { Memory } from '../vm/launcher.ts'

/**
 * QEMU takes half a second to load a kernel. We own the RAM, so we put it there ourselves, where QEMU would
 * (`hw/arm/boot.c`), and give QEMU its first page, from which it works out where it starts.
 */

export const HEAD_BYTES = 4096
const PIECE_BYTES = 512 * 1024
const MIB = 2 ** 20

const readAt = promisify(read)
const writeAt = promisify(write)

/**
 * The first page of a kernel: `kernel` is an ARM64 Image. Without one, a header of no code: what a restored VM
 * does with its kernel is in its RAM already, and QEMU still wants to be given one.
 */
export function writeKernelHead(to: Memory, kernel?: Memory): void {
  const head = Buffer.alloc(HEAD_BYTES)
  if (kernel === undefined) head.write('ARM\x64', 56, 'latin1')
  else readSync(kernel.fd, head, 0, HEAD_BYTES, 0)
  writeSync(to.fd, head, 0, HEAD_BYTES, 0)
}

/** Copies `kernel`, an ARM64 Image, to its place in `ram`. */
export async function loadKernel(kernel: Memory, ram: Memory): Promise<void> {
  const head = Buffer.alloc(HEAD_BYTES)
  readSync(kernel.fd, head, 0, HEAD_BYTES, 0)
  const start = kernelOffset(head)
  if (start + BigInt(kernel.size) > BigInt(ram.size))
    throw hypervisorError(
      "The kernel does not fit the VM's memory.",
      'Give the VM more memory, or a smaller kernel.',
      `${kernel.size} bytes at ${start}, of ${ram.size}`,
    )
  const piece = Buffer.allocUnsafe(PIECE_BYTES)
  for (let done = 0; done < kernel.size;) {
    const { bytesRead } = await readAt(kernel.fd, piece, 0, PIECE_BYTES, done)
    if (bytesRead === 0) return
    await writeAt(ram.fd, piece, 0, bytesRead, Number(start) + done)
    done += bytesRead
  }
}

/** Bytes from the start of RAM; by `Documentation/arm64/booting.rst`, and QEMU's own first page in the way. */
export function kernelOffset(head: Buffer): bigint {
  const textOffset = head.readBigUInt64LE(8)
  const imageSize = head.readBigUInt64LE(16)
  // Before Linux 3.17 a header did not say.
  if (imageSize === 0n) return 0x80000n
  return textOffset < BigInt(HEAD_BYTES) ? textOffset + BigInt(2 * MIB) : textOffset
}
