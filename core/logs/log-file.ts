import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { errnoOf } from '../files.ts'

/** One file of a log, open for reading. */
export interface LogFile {
  readonly fd: number
  /** Names the file over renames, as the log is rotated. */
  readonly id: string
  readonly size: number
}

/** Opens what there is of `paths`, in order; never through a link. The caller closes. */
export function openLogFiles(paths: readonly string[]): LogFile[] {
  const files: LogFile[] = []
  for (const path of paths) {
    let fd: number
    try {
      fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') continue
      closeLogFiles(files)
      throw error
    }
    const stat = fstatSync(fd)
    if (stat.isFile()) files.push({ fd, id: String(stat.ino), size: stat.size })
    else closeSync(fd)
  }
  return files
}

export function closeLogFiles(files: readonly LogFile[]): void {
  for (const { fd } of files) closeSync(fd)
}

/** Bytes `from` to `to` of the files as if they were one. */
export function readAcross(files: readonly LogFile[], from: number, to: number): Buffer {
  const parts: Buffer[] = []
  let base = 0
  for (const { fd, size } of files) {
    const start = Math.max(0, from - base)
    const end = Math.min(size, to - base)
    if (start < end) parts.push(readPart(fd, start, end - start))
    base += size
  }
  return Buffer.concat(parts)
}

function readPart(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let at = 0
  for (let got = -1; got !== 0 && at < length; at += got)
    got = readSync(fd, bytes, at, length - at, position + at)
  return bytes.subarray(0, at)
}
