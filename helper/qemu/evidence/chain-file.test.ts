import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type EvidenceChunk, LIMITS } from '../../../core/protocol/index.ts'
import { ChainFile, prune } from './chain-file.ts'

const COMMAND = '6f1c1f2e-7d0a-4b8f-9c3d-2a1b0c9d8e7f'
const chunk = (seq: number): EvidenceChunk => ({
  type: 'EvidenceChunk',
  command_id: COMMAND,
  seq,
  chunk_data: 'AAAA',
  chunk_size: 3,
  is_terminal: false,
})

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bsm-chain-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

describe('a kept chain', () => {
  it('has one chunk a line, in order, for its owner alone', async () => {
    const file = await ChainFile.create(directory, COMMAND)
    for (let seq = 1; seq <= 50; seq += 1) file.append(chunk(seq))
    expect(await file.close()).toBeNull()
    const lines = readFileSync(file.path, 'utf8').trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(
      Array.from({ length: 50 }, (_, i) => chunk(i + 1)),
    )
    expect(statSync(file.path).mode & 0o777).toBe(0o600)
    expect(statSync(join(directory, 'evidence')).mode & 0o777).toBe(0o700)
  })

  it('keeps its command id from being used again', async () => {
    await (await ChainFile.create(directory, COMMAND)).close()
    await expect(ChainFile.create(directory, COMMAND)).rejects.toMatchObject({ code: 'BAD_REQUEST' })
  })

  it('makes the oldest go where there are more than 200', async () => {
    mkdirSync(join(directory, 'evidence'))
    for (let i = 0; i < LIMITS.evidenceChains + 5; i += 1) {
      const path = join(directory, 'evidence', `old-${i}.ndjson`)
      writeFileSync(path, '')
      utimesSync(path, i + 1, i + 1)
    }
    writeFileSync(join(directory, 'evidence', 'notes.txt'), '')
    const file = await ChainFile.create(directory, COMMAND)
    expect(await file.close()).toBeNull()
    const kept = readdirSync(join(directory, 'evidence'))
    expect(kept.filter((name) => name.endsWith('.ndjson'))).toHaveLength(LIMITS.evidenceChains)
    expect(kept).toEqual(expect.arrayContaining([`${COMMAND}.ndjson`, 'old-6.ndjson', 'notes.txt']))
    expect(kept).not.toContain('old-5.ndjson')
  })

  it('makes the oldest go where all take too much room, and never the newest', async () => {
    const bytes = 64 * 1024
    for (const [age, name] of ['a', 'b', 'c'].entries()) {
      const path = join(directory, `${name}.ndjson`)
      writeFileSync(path, Buffer.alloc(bytes, 1))
      utimesSync(path, 100 - age, 100 - age)
    }
    await prune(directory, 'c.ndjson', { chains: 200, bytes: 2 * bytes + 4096 })
    expect(readdirSync(directory).toSorted()).toEqual(['a.ndjson', 'c.ndjson'])
    await prune(directory, 'c.ndjson', { chains: 200, bytes: 1 })
    expect(readdirSync(directory)).toEqual(['c.ndjson'])
  })

  it('that cannot be kept says so before anything runs', async () => {
    writeFileSync(join(directory, 'evidence'), 'a file in the way')
    await expect(ChainFile.create(directory, COMMAND)).rejects.toMatchObject({
      code: 'VM_LIFECYCLE_ERROR',
      message: 'The evidence of a dispatch cannot be kept.',
    })
  })
})
