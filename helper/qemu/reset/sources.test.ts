import { describe, expect, it } from 'vitest'
import { BsmError, EMPTY_SHA256, sha256 } from '../../../core/protocol/index.ts'
import { judge, type Readings } from './sources.ts'

const HASH = sha256(Buffer.from('disk'))
const expected = { fsHash: HASH, openFdCount: 16, vmmApiState: 'running' } as const
const good: Readings = {
  fsHash: { value: { hash: HASH, stillNamed: true } },
  openFdCount: { value: 16 },
  vmmApiState: { value: 'running' },
}
const silent = { silent: new BsmError('TIMEOUT', 'helper', 'silent') }

describe('the three sources', () => {
  it('that agree find nothing', () => {
    expect(judge(good, expected)).toEqual({
      disagree: [],
      silent: [],
      details: {
        fs_hash: HASH,
        fs_hash_baseline: HASH,
        fs_hash_match: true,
        open_fd_count: 16,
        open_fd_count_baseline: 16,
        vmm_api_state: 'running',
        expected_vmm_api_state: 'running',
        divergence_action: 'none',
      },
    })
  })

  it.each<[string, Partial<Readings>]>([
    ['fs_hash', { fsHash: { value: { hash: sha256(Buffer.from('other')), stillNamed: true } } }],
    ['fs_hash', { fsHash: { value: { hash: HASH, stillNamed: false } } }],
    ['open_fd_count', { openFdCount: { value: 17 } }],
    ['open_fd_count', { openFdCount: { value: 15 } }],
    ['vmm_api_state', { vmmApiState: { value: 'paused' } }],
  ])('halt when %s disagrees', (name, change) => {
    const { disagree, details } = judge({ ...good, ...change }, expected)
    expect(disagree).toEqual([name])
    expect(details.divergence_action).toBe('halt')
  })

  it.each<[string, keyof Readings]>([
    ['fs_hash', 'fsHash'],
    ['open_fd_count', 'openFdCount'],
    ['vmm_api_state', 'vmmApiState'],
  ])('tell the silence of %s from a disagreement', (name, source) => {
    const judgement = judge({ ...good, [source]: silent }, expected)
    expect(judgement).toMatchObject({ disagree: [], silent: [name], details: { divergence_action: 'none' } })
    expect(judgement.details[name as 'fs_hash']).toBeNull()
  })

  it('do not agree with the hash of nothing, though both say it', () => {
    const empty = { ...good, fsHash: { value: { hash: EMPTY_SHA256, stillNamed: true } } }
    expect(judge(empty, { ...expected, fsHash: EMPTY_SHA256 }).disagree).toEqual(['fs_hash'])
  })

  it('do not agree with a baseline that was never measured', () => {
    expect(judge(good, { ...expected, openFdCount: null }).disagree).toEqual(['open_fd_count'])
  })
})
