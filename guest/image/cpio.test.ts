import { describe, expect, it } from 'vitest'
import { cpio } from './cpio.ts'

/** Reads a newc archive back: name → mode, size and content. */
function read(archive: Buffer) {
  const found = new Map<string, { mode: number; major: number; minor: number; data: string }>()
  for (let at = 0; ;) {
    const header = archive.toString('latin1', at, at + 110)
    expect(header.slice(0, 6)).toBe('070701')
    const field = (n: number) => parseInt(header.slice(6 + 8 * n, 14 + 8 * n), 16)
    const name = archive.toString('utf8', at + 110, at + 110 + field(11) - 1)
    const start = (at + 110 + field(11) + 3) & ~3
    if (name === 'TRAILER!!!') return found
    const data = archive.toString('utf8', start, start + field(6))
    found.set(name, { mode: field(1), major: field(9), minor: field(10), data })
    at = (start + field(6) + 3) & ~3
  }
}

describe('an initramfs', () => {
  const archive = cpio([
    { path: 'dev', kind: 'dir' },
    { path: 'dev/null', kind: 'char', mode: 0o666, major: 1, minor: 3 },
    { path: 'init', kind: 'file', mode: 0o755, data: Buffer.from('hello') },
    { path: 'odd', kind: 'file', mode: 0o644, data: Buffer.from('') },
  ])

  it('holds folders, devices and files of any length', () => {
    expect([...read(archive)]).toEqual([
      ['dev', { mode: 0o040755, major: 0, minor: 0, data: '' }],
      ['dev/null', { mode: 0o020666, major: 1, minor: 3, data: '' }],
      ['init', { mode: 0o100755, major: 0, minor: 0, data: 'hello' }],
      ['odd', { mode: 0o100644, major: 0, minor: 0, data: '' }],
    ])
    expect(archive.length % 4).toBe(0)
  })

  it('has no owner and no time of the machine that built it', () => {
    for (let at = archive.indexOf('070701'); at >= 0; at = archive.indexOf('070701', at + 6)) {
      expect(archive.toString('latin1', at + 22, at + 38)).toBe('0'.repeat(16)) // uid, gid
      expect(archive.toString('latin1', at + 46, at + 54)).toBe('0'.repeat(8)) // mtime
    }
  })
})
