import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { HelperRequest } from './helper.ts'
import { LIMITS } from './limits.ts'

const exec = (fields: object) =>
  HelperRequest.safeParse({
    kind: 'exec',
    request_id: randomUUID(),
    command_id: randomUUID(),
    tool: 'echo',
    params: {},
    deadline_ms: 1_000,
    ...fields,
  })
const zeros = (bytes: number): string => Buffer.alloc(bytes).toString('base64')
const files = (...sizes: number[]) => ({
  files_in: sizes.map((size) => ({ path: '/tmp/f', mode: 0o644, data_b64: zeros(size) })),
})
const half = LIMITS.filesBytes / 2

describe('a dispatch', () => {
  it('carries 8 MiB of files together, and as much of stdin', () => {
    expect(exec({ ...files(half, half), stdin_b64: zeros(LIMITS.filesBytes) }).success).toBe(true)
  })

  it.each([
    ['one file', files(LIMITS.filesBytes + 1)],
    ['files together', files(half, half + 1)],
    ['stdin', { stdin_b64: zeros(LIMITS.filesBytes + 3) }],
  ])('is ill-formed with more in %s', (_name, fields) => {
    expect(exec(fields).error?.issues[0]?.message).toMatch(/8 MiB.*; send less, or in several dispatches/)
  })
})
