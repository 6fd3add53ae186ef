/** One entry of an initramfs. */
export type Entry =
  | { path: string; kind: 'dir' }
  | { path: string; kind: 'file'; mode: number; data: Buffer }
  | { path: string; kind: 'char'; mode: number; major: number; minor: number }

/**
 * Writes the "newc" format (linux/Documentation/driver-api/early-userspace/buffer-format.rst). Our own, since cpio(1)
 * puts inode numbers, owners and times of the building machine into the archive.
 */
export function cpio(entries: readonly Entry[]): Buffer {
  const parts: Buffer[] = []
  entries.forEach((entry, index) => {
    const data = entry.kind === 'file' ? entry.data : Buffer.alloc(0)
    const mode =
      entry.kind === 'dir' ? 0o040755 : entry.kind === 'file' ? 0o100000 | entry.mode : 0o020000 | entry.mode
    const device = entry.kind === 'char' ? [entry.major, entry.minor] : [0, 0]
    parts.push(
      record(
        entry.path,
        [index + 1, mode, 0, 0, entry.kind === 'dir' ? 2 : 1, 0, data.length, 0, 0, ...device],
        data,
      ),
    )
  })
  parts.push(record('TRAILER!!!', [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], Buffer.alloc(0)))
  return Buffer.concat(parts)
}

function record(path: string, numbers: readonly number[], data: Buffer): Buffer {
  const name = Buffer.from(path + '\0')
  const header = '070701' + [...numbers, name.length, 0].map((n) => n.toString(16).padStart(8, '0')).join('')
  return Buffer.concat([pad(Buffer.concat([Buffer.from(header), name])), pad(data)])
}

const pad = (data: Buffer): Buffer => Buffer.concat([data, Buffer.alloc((4 - (data.length % 4)) % 4)])
