import {
  BsmError,
  EMPTY_SHA256,
  LIMITS,
  type VerificationDetails,
  type VmmApiState,
} from '../../../core/protocol/index.ts'
import { within } from '../deadline.ts'
import type { Disk } from '../disk.ts'
import type { GuestVm } from '../vm/guest-vm.ts'

/** What the three sources must say (§4). */
export type Expected = { fsHash: string | null; openFdCount: number | null; vmmApiState: VmmApiState }
export type SourceName = 'fs_hash' | 'open_fd_count' | 'vmm_api_state'

/** What one source said, or that it was silent. */
export type Reading<T> = { value: T } | { silent: BsmError }
export type Readings = {
  fsHash: Reading<{ hash: string; stillNamed: boolean }>
  openFdCount: Reading<number>
  vmmApiState: Reading<VmmApiState>
}

/** Reads one source within 5 s; silence is an answer of its own, not an exception. */
export async function listen<T>(source: Promise<T>): Promise<Reading<T>> {
  try {
    return {
      value: await within(
        LIMITS.sourceSilenceMs,
        source,
        () => new BsmError('TIMEOUT', 'helper', 'A verification source was silent for 5 s.'),
      ),
    }
  } catch (error) {
    return { silent: BsmError.from(error, 'helper') }
  }
}

export async function readDisk(disk: Disk): Promise<{ hash: string; stillNamed: boolean }> {
  const [hash, stillNamed] = await Promise.all([disk.hash(), disk.isStillNamed()])
  return { hash, stillNamed }
}

/** Reads all three now, side by side. */
export async function readSources(vm: GuestVm, disk: Disk): Promise<Readings> {
  const [fsHash, openFdCount, vmmApiState] = await Promise.all([
    listen(readDisk(disk)),
    listen(vm.queries.openFdCount(LIMITS.sourceSilenceMs)),
    listen(vm.apiState(LIMITS.sourceSilenceMs)),
  ])
  return { fsHash, openFdCount, vmmApiState }
}

export type Judgement = { details: VerificationDetails; disagree: SourceName[]; silent: SourceName[] }

/** Compares; a baseline that is missing or is the hash of nothing agrees with nothing. */
export function judge(readings: Readings, expected: Expected): Judgement {
  const disagree: SourceName[] = []
  const silent: SourceName[] = []
  const sort = <T>(name: SourceName, reading: Reading<T>, agrees: (value: T) => boolean): T | null => {
    if ('silent' in reading) {
      silent.push(name)
      return null
    }
    if (!agrees(reading.value)) disagree.push(name)
    return reading.value
  }
  const fs = sort(
    'fs_hash',
    readings.fsHash,
    ({ hash, stillNamed }) => stillNamed && hash === expected.fsHash && hash !== EMPTY_SHA256,
  )
  const fds = sort('open_fd_count', readings.openFdCount, (count) => count === expected.openFdCount)
  const state = sort('vmm_api_state', readings.vmmApiState, (value) => value === expected.vmmApiState)
  return {
    disagree,
    silent,
    details: {
      fs_hash: fs?.hash ?? null,
      fs_hash_baseline: expected.fsHash,
      fs_hash_match: fs === null ? null : !disagree.includes('fs_hash'),
      open_fd_count: fds,
      open_fd_count_baseline: expected.openFdCount,
      vmm_api_state: state,
      expected_vmm_api_state: expected.vmmApiState,
      divergence_action: disagree.length > 0 ? 'halt' : 'none',
    },
  }
}
