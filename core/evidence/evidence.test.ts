import { randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { dispatchRecord, type EvidenceChunk } from '../protocol/index.ts'
import { evidenceChain } from '../testing/evidence-chain.ts'
import { temporaryDirectory } from '../testing/fixture.ts'
import { EvidenceStore } from './store.ts'

const ID = '0b0e7a52-3c9f-4d6e-9a51-7b2f0d9c1e11'
const DISPATCH = { command_id: ID, tool: 'echo', params: { text: 'x' }, deadline_ms: 1_000 }
const EPOCH = 3

let directory: string
let store: EvidenceStore
beforeEach(() => {
  directory = temporaryDirectory()
  store = new EvidenceStore(directory, { chains: 3, bytes: 1_000 })
})

const chain = () =>
  evidenceChain(ID, [
    dispatchRecord(DISPATCH, EPOCH),
    Buffer.from('\u0001out'),
    Buffer.from('{"exit_code":0}'),
  ])
const keep = (lines: readonly object[], end = '\n'): void =>
  writeFileSync(store.pathOf(ID), lines.map((line) => JSON.stringify(line)).join('\n') + end)

describe('a stored chain', () => {
  it('verifies against the hash on record, and against what was asked', async () => {
    const { chunks: lines, hash } = chain()
    keep(lines)
    expect(await store.verify(ID, hash)).toMatchObject({ ok: true, recomputed: hash, chunks: 3 })
    await store.check(DISPATCH, hash, EPOCH)
  })

  const spoil: [name: string, edit: (lines: EvidenceChunk[]) => object[]][] = [
    ['a chunk is missing', (l) => l.toSpliced(1, 1)],
    ['a chunk comes twice', (l) => [l[0], l[1], l[1], l[2]] as EvidenceChunk[]],
    ['chunks are in disorder', (l) => [l[1], l[0], l[2]] as EvidenceChunk[]],
    ['the end is missing', (l) => l.slice(0, 2)],
    ['chunks follow the end', (l) => [...l, { ...l[2], seq: 4 }]],
    [
      'a chunk is of another command',
      (l) => l.with(1, { ...(l[1] as EvidenceChunk), command_id: randomUUID() }),
    ],
    [
      'a byte changed',
      (l) =>
        l.with(1, { ...(l[1] as EvidenceChunk), chunk_data: Buffer.from('\u0001ouT').toString('base64') }),
    ],
    ['a size is wrong', (l) => l.with(1, { ...(l[1] as EvidenceChunk), chunk_size: 3 })],
    ['a line is not a chunk', (l) => l.with(1, { nonsense: true } as unknown as EvidenceChunk)],
    ['there is nothing', () => []],
  ]
  it.each(spoil)('does not verify when %s', async (_name, edit) => {
    const { chunks: lines, hash } = chain()
    keep(edit(lines))
    expect((await store.verify(ID, hash)).ok).toBe(false)
    await expect(store.check(DISPATCH, hash, EPOCH)).rejects.toThrow()
  })

  it('does not verify when it ends in the middle of a line', async () => {
    const { chunks: lines, hash } = chain()
    keep(lines, '')
    expect((await store.verify(ID, hash)).message).toContain('middle of a line')
  })

  it('does not verify against another hash, or none', async () => {
    const { chunks: lines, hash } = chain()
    keep(lines)
    expect((await store.verify(ID, `sha256:${'0'.repeat(64)}`)).message).toContain('it was replaced')
    expect((await store.verify(ID, null)).ok).toBe(false)
    await expect(store.check({ ...DISPATCH, tool: 'sh' }, hash, EPOCH)).rejects.toThrow(
      'does not open with the dispatch',
    )
    await expect(store.check(DISPATCH, hash, EPOCH + 1)).rejects.toThrow('does not open with the dispatch')
  })

  it('that is not kept is an error of its own', async () => {
    await expect(store.verify(ID, null)).rejects.toMatchObject({ code: 'EVIDENCE_GAP' })
  })
})

describe('kept chains', () => {
  it('are the newest ones; what is not a chain is left alone', async () => {
    const ids = Array.from({ length: 5 }, () => randomUUID())
    ids.forEach((id, age) => {
      writeFileSync(store.pathOf(id), '')
      utimesSync(store.pathOf(id), 1_000 + age, 1_000 + age)
    })
    writeFileSync(join(directory, 'notes.txt'), '')
    await store.load()
    expect(readdirSync(directory).sort()).toEqual(
      [...ids.slice(2).map((id) => `${id}.ndjson`), 'notes.txt'].sort(),
    )
    const next = randomUUID()
    writeFileSync(store.pathOf(next), '')
    await store.added(next)
    expect(store.has(ids[2] ?? '')).toBe(false)
    expect(store.has(next.toUpperCase())).toBe(true)
    expect(readdirSync(directory)).toHaveLength(4)
  })

  it('are as many as fit into the bytes there are for them, and always the newest', async () => {
    const ids = Array.from({ length: 3 }, () => randomUUID())
    ids.forEach((id, age) => {
      writeFileSync(store.pathOf(id), 'x'.repeat(400))
      utimesSync(store.pathOf(id), 1_000 + age, 1_000 + age)
    })
    await store.load()
    expect(readdirSync(directory).sort()).toEqual(
      ids
        .slice(1)
        .map((id) => `${id}.ndjson`)
        .sort(),
    )
    const large = randomUUID()
    writeFileSync(store.pathOf(large), 'x'.repeat(2_000))
    await store.added(large)
    expect(readdirSync(directory)).toEqual([`${large}.ndjson`])
  })

  it('are files: what only has the name of one is left alone', async () => {
    const [link, folder, real] = [randomUUID(), randomUUID(), randomUUID()]
    symlinkSync('/nowhere', store.pathOf(link))
    mkdirSync(store.pathOf(folder))
    writeFileSync(store.pathOf(real), '')
    await store.load()
    expect([link, folder, real].map((id) => store.has(id))).toEqual([false, false, true])
    expect(readdirSync(directory)).toHaveLength(3)
  })
})
