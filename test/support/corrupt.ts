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
