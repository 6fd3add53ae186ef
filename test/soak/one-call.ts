/**
 * Programs of a hundred bytes that make one call of the kernel: for what the shell of the guest has no word, and a
 * compiled program would be sent with every dispatch.
 */

const BASE = 0x40_0000
const HEADERS = 64 + 56
/** exit(2) */
const EXIT = 93
const SUPERVISOR_CALL = 0xd400_0001

/** Sets a register to a number of 16 bits, or to one below zero: MOVZ and MOVN of 64 bits. */
const move = (register: number, value: number): number =>
  value < 0
    ? (0x9280_0000 | (~value << 5) | register) >>> 0
    : (0xd280_0000 | ((value & 0xffff) << 5) | register) >>> 0

/** Sets the upper half of 32 bits beside it: MOVK. */
const moveUpper = (register: number, value: number): number =>
  (0xf2a0_0000 | ((value >>> 16) << 5) | register) >>> 0

/**
 * An ELF executable of ARM64 Linux that makes the call of a number (asm-generic/unistd.h) and ends with 0, whatever
 * came of it. A word among the arguments is passed as its address.
 */
export function oneCall(number: number, args: readonly (number | string)[]): Buffer {
  const words = args.map((value) => (typeof value === 'string' ? Buffer.from(`${value}\0`) : Buffer.alloc(0)))
  // Two instructions an argument, and five around the call.
  const code = HEADERS + 4 * (2 * args.length + 5)
  const values = args.map((value, i) =>
    typeof value === 'number' ? value : BASE + code + Buffer.concat(words.slice(0, i)).length,
  )
  const instructions = [
    ...values.flatMap((value, i) => [move(i, value), value < 0 ? move(8, 0) : moveUpper(i, value)]),
    move(8, number),
    SUPERVISOR_CALL,
    move(0, 0),
    move(8, EXIT),
    SUPERVISOR_CALL,
  ]
  const body = Buffer.concat([Buffer.from(Uint32Array.from(instructions).buffer), ...words])
  return Buffer.concat([headers(HEADERS + body.length), body])
}

/** Of one segment, loaded whole and executed from behind these headers (elf(5)). */
function headers(size: number): Buffer {
  const made = Buffer.alloc(HEADERS)
  made.write('\x7fELF\x02\x01\x01', 'latin1')
  made.writeUInt16LE(2, 16) // an executable
  made.writeUInt16LE(183, 18) // of AArch64
  made.writeUInt32LE(1, 20)
  made.writeBigUInt64LE(BigInt(BASE + HEADERS), 24)
  made.writeBigUInt64LE(64n, 32)
  made.writeUInt16LE(64, 52)
  made.writeUInt16LE(56, 54)
  made.writeUInt16LE(1, 56)
  made.writeUInt32LE(1, 64) // PT_LOAD
  made.writeUInt32LE(5, 68) // readable and executable
  for (const at of [80, 88]) made.writeBigUInt64LE(BigInt(BASE), at)
  for (const at of [96, 104]) made.writeBigUInt64LE(BigInt(size), at)
  made.writeBigUInt64LE(0x1000n, 112)
  return made
}

/** As the printf of a shell writes it. */
export const inShell = (bytes: Buffer): string =>
  [...bytes].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')
