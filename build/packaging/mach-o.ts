import { closeSync, openSync, readSync } from 'node:fs'

/** `mach-o/loader.h` and `mach/machine.h` */
const MH_MAGIC_64 = 0xfeedfacf
const FAT_MAGIC = 0xcafebabe
const CPU_TYPE_ARM64 = 0x0100000c
const MH_EXECUTE = 2

export type MachO = { arm64: boolean; executable: boolean }

/** The head of a Mach-O file; null for any other. A fat file is Mach-O, and not arm64: ours have one architecture. */
export function machO(path: string): MachO | null {
  const head = Buffer.alloc(16)
  const fd = openSync(path, 'r')
  try {
    if (readSync(fd, head, 0, 16, 0) < 16) return null
  } finally {
    closeSync(fd)
  }
  // Java's class files begin with the same four bytes as fat ones; a bundle of ours has neither.
  if (head.readUInt32BE(0) === FAT_MAGIC) return { arm64: false, executable: false }
  if (head.readUInt32LE(0) !== MH_MAGIC_64) return null
  return {
    arm64: head.readUInt32LE(4) === CPU_TYPE_ARM64,
    executable: head.readUInt32LE(12) === MH_EXECUTE,
  }
}
