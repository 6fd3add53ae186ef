import { describe, expect, it } from 'vitest'
import { outcomeOf } from './outcome.ts'

const done = { state: 'done', exit_code: 0, error: null, reset_passed: true } as const

describe('outcomeOf', () => {
  it('takes a non-zero exit for a result', () =>
    expect([outcomeOf(done).word, outcomeOf({ ...done, exit_code: 3 }).word]).toEqual(['exit 0', 'exit 3']))
  it('tells a timeout, a cancel and a failure apart', () => {
    const of = (code: 'SANDBOX_TOOL_TIMEOUT' | 'CANCELLED' | 'EVIDENCE_GAP') =>
      outcomeOf({ ...done, exit_code: 137, error: { code, message: '' } }).word
    expect([of('SANDBOX_TOOL_TIMEOUT'), of('CANCELLED'), of('EVIDENCE_GAP')]).toEqual([
      'timed out',
      'cancelled',
      'failed',
    ])
  })
  it('puts an unverified wipe before everything else', () =>
    expect(outcomeOf({ ...done, reset_passed: false }).tone).toBe('bad'))
})
