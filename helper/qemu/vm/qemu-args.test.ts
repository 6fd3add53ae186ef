import { describe, expect, it } from 'vitest'
import { qemuArgs } from './qemu-args.ts'

const config = { cpus: 2, memoryMib: 256, cmdline: 'quiet', accelerator: 'tcg' } as const
const golden = qemuArgs(config, { kind: 'golden', withInitrd: true })
const restored = qemuArgs(config, { kind: 'restored' })
const after = (args: string[], flag: string) => args[args.indexOf(flag) + 1]

describe("QEMU's command line", () => {
  it('differs between golden and restored in the sharing of RAM, the initrd and the start alone', () => {
    const only = (a: string[], b: string[]) => a.filter((arg) => !b.includes(arg))
    expect(only(golden, restored)).toEqual([
      expect.stringContaining('share=on'),
      '-initrd',
      '/proc/self/fd/13',
    ])
    expect(only(restored, golden)).toEqual([expect.stringContaining('share=off'), '-incoming', 'defer'])
  })

  it.each([golden, restored])('confines the process and opens no path but its own descriptors', (...args) => {
    expect(after(args, '-sandbox')).toBe(
      'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny',
    )
    expect(args).toContain('-no-user-config')
    expect(args.filter((arg) => arg.includes('path=') && !arg.includes('/proc/self/fd/'))).toEqual([])
    expect(after(args, '-drive')).toMatch(/^file=\/dev\/fdset\/1,.*readonly=on/)
  })

  it('has no network device', () => {
    expect(restored).toContain('-nodefaults')
    expect(restored.filter((arg) => /net/.test(arg))).toEqual([])
  })
})
