import { closeSync, fstatSync, futimesSync, openSync, readSync, writeSync } from 'node:fs'

/** Turns one byte of a file into another and puts its times back, as an attacker would. */
export function corruptByte(path: string, offset: number): void {
  const fd = openSync(path, 'r+')
  try {
    const { atime, mtime } = fstatSync(fd)
    const byte = Buffer.alloc(1)
    if (readSync(fd, byte, 0, 1, offset) !== 1) throw new Error(`${path} has no byte ${offset}`)
    byte[0] = (byte[0] ?? 0) ^ 0xff
    writeSync(fd, byte, 0, 1, offset)
    futimesSync(fd, atime, mtime)
  } finally {
    closeSync(fd)
  }
}

const PIECE_BYTES = 1 << 20
/** No page of a guest's memory looks like this. */
const GARBAGE = 0xa5

/** Puts garbage in the place of all that a file holds, its size and times as before; holes stay holes. */
export function overwriteWhole(path: string): void {
  const fd = openSync(path, 'r+')
  try {
    const { atime, mtime, size } = fstatSync(fd)
    const zeros = Buffer.alloc(PIECE_BYTES)
    const piece = Buffer.alloc(PIECE_BYTES)
    for (let at = 0; at < size; at += PIECE_BYTES) {
      const n = readSync(fd, piece, 0, PIECE_BYTES, at)
      if (!piece.subarray(0, n).equals(zeros.subarray(0, n)))
        writeSync(fd, Buffer.alloc(n, GARBAGE), 0, n, at)
    }
    futimesSync(fd, atime, mtime)
  } finally {
    closeSync(fd)
  }
}
