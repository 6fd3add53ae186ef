import { readFile } from 'node:fs/promises'
import { freemem } from 'node:os'
import { bytes } from '../../units.ts'
import type { Check } from '../check.ts'

/** VM, standby, the sealed copy of golden RAM, app and helper. */
const NEEDED_BYTES = 1.5 * 1024 ** 3

export const memory: Check = {
  id: 'memory',
  title: 'memory',
  async run() {
    const available = await availableMemory()
    const message = `${bytes(available)} available`
    if (available >= NEEDED_BYTES) return { status: 'ok', message }
    return {
      status: 'warn',
      message: `${message}; ${bytes(NEEDED_BYTES)} are wanted for VM and standby`,
      remedy: 'close programs, or start with less: bsm up --memory-mib 256',
    }
  },
}

async function availableMemory(): Promise<number> {
  const text = await readFile('/proc/meminfo', 'utf8').catch(() => '')
  const kib = /^MemAvailable:\s+(\d+) kB$/m.exec(text)?.[1]
  return kib === undefined ? freemem() : Number(kib) * 1024
}
