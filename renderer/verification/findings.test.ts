import { describe, expect, it } from 'vitest'
import { divergentReset, fastReset, silentReset } from '../fixtures/reports.ts'
import { findingsOf, wipeSentences } from './findings.ts'

const verdicts = (report: Parameters<typeof findingsOf>[0]) =>
  Object.fromEntries(findingsOf(report).map((finding) => [finding.source, finding.verdict]))

describe('findingsOf', () => {
  it('says that everything agrees in a good reset', () =>
    expect(verdicts(fastReset(1, 0))).toEqual({
      wipe: 'agrees',
      fs_hash: 'agrees',
      open_fd_count: 'agrees',
      vmm_api_state: 'agrees',
    }))
  it('names the source that differs', () =>
    expect(verdicts(divergentReset())).toMatchObject({ fs_hash: 'differs', open_fd_count: 'agrees' }))
  it('tells silence from a difference', () => {
    expect(verdicts(silentReset())).toMatchObject({ open_fd_count: 'silent', fs_hash: 'agrees' })
    expect(findingsOf(silentReset())[2]?.found).toBe('no answer')
  })
  it('believes the helper where two values look alike', () =>
    expect(verdicts({ ...fastReset(1, 0), failed: ['open_fd_count'] })['open_fd_count']).toBe('differs'))
  it('does not take a missing proof for a good one', () => {
    const report = { ...fastReset(1, 0), wipe: null, failed: ['wipe' as const] }
    expect(verdicts(report)['wipe']).toBe('silent')
    expect(wipeSentences(report)).toEqual(['The helper gave no proof that the old VM is gone.'])
  })
  it('says when the VM was never replaced', () => {
    const good = fastReset(1, 0)
    if (good.wipe === null) throw new Error('the fixture has a wipe')
    const same = { ...good, wipe: { ...good.wipe, old: { id: good.wipe.new.id, exit: '' } } }
    expect(findingsOf({ ...same, failed: ['wipe'] })[0]).toMatchObject({
      found: 'the same VM',
      verdict: 'differs',
    })
  })
})
