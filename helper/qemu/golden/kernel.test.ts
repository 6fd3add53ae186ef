import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Memory } from '../vm/launcher.ts'
import { HEAD_BYTES, kernelOffset, loadKernel, writeKernelHead } from './kernel.ts'

const MIB = 2 ** 20

function head(textOffset: bigint, imageSize: bigint): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES)
  bytes.writeBigUInt64LE(textOffset, 8)
  bytes.writeBigUInt64LE(imageSize, 16)
  bytes.write('ARM\x64', 56, 'latin1')
  return bytes
}

describe('a kernel', () => {
  let folder: string
  const open: Memory[] = []
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'bsm-kernel-'))
  })
  afterEach(() => {
    open.splice(0).forEach((memory) => memory.close())
    rmSync(folder, { recursive: true })
  })

  const path = (name: string) => join(folder, name)
  function memory(name: string, bytes: Buffer | number): Memory {
    if (typeof bytes === 'number') {
      closeSync(openSync(path(name), 'w'))
      truncateSync(path(name), bytes)
    } else writeFileSync(path(name), bytes)
    const one = new Memory(openSync(path(name), 'r+'), typeof bytes === 'number' ? bytes : bytes.length)
    open.push(one)
    return one
  }

  it('lies where its header says, above the page that QEMU starts from', () => {
    expect(kernelOffset(head(0n, 1n))).toBe(BigInt(2 * MIB))
    expect(kernelOffset(head(0x80000n, 1n))).toBe(0x80000n)
    expect(kernelOffset(head(0x1234n, 0n)), 'a header from before Linux 3.17').toBe(0x80000n)
  })

  it('is copied whole to its place in RAM, and its first page is what QEMU is given', async () => {
    const bytes = Buffer.concat([head(0n, 1n), Buffer.alloc(3 * MIB + 5, 'kernel')])
    const kernel = memory('kernel', bytes)
    await loadKernel(kernel, memory('ram', 8 * MIB))
    const ram = readFileSync(path('ram'))
    expect(ram.subarray(2 * MIB, 2 * MIB + bytes.length).equals(bytes)).toBe(true)
    expect(ram.subarray(0, 2 * MIB).some(Boolean) || ram.subarray(2 * MIB + bytes.length).some(Boolean)).toBe(
      false,
    )
    expect(ram).toHaveLength(8 * MIB)

    writeKernelHead(memory('head', HEAD_BYTES), kernel)
    expect(readFileSync(path('head')).equals(bytes.subarray(0, HEAD_BYTES))).toBe(true)
  })

  it('that does not fit is refused, and so is one that lies outside', async () => {
    const ram = memory('ram', 4 * MIB)
    const large = memory('large', Buffer.concat([head(0n, 1n), Buffer.alloc(2 * MIB)]))
    await expect(loadKernel(large, ram)).rejects.toMatchObject({ code: 'VM_LIFECYCLE_ERROR' })
    const far = memory('far', head(2n ** 63n, 1n))
    await expect(loadKernel(far, ram)).rejects.toThrow("does not fit the VM's memory")
    expect(readFileSync(path('ram'))).toHaveLength(4 * MIB)
  })
})
