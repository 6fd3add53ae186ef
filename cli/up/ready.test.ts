import { describe, expect, it } from 'vitest'
import { snapshot } from '../../core/testing/snapshot.ts'
import { readyJson, readyLine, readyNotes } from './ready.ts'

const url = 'http://127.0.0.1:4711/#token=abc'
const ready = (fields: Parameters<typeof snapshot>[0] = {}) => ({
  url,
  agent_socket: '/state/agent.sock',
  snapshot: snapshot(fields),
})
const error = {
  code: 'BOOT_CONFIG_INVALID',
  message: 'a bzImage\u001b',
  layer: 'helper',
  next_step: 'unpack it',
} as const

describe('the ready line', () => {
  it('has the address and what runs the VM, in one line', () => {
    expect(readyLine(ready())).toBe(
      `Brainstorm Sandbox is ready: ${url}  (qemu, tcg, fast_snapshot in 412 ms)`,
    )
    expect(/http:\/\/127\.0\.0\.1:[0-9]*[^ ]*/.exec(readyLine(ready()))?.[0]).toBe(url)
  })

  it('has the socket where there is no page', () => {
    expect(readyLine({ ...ready(), url: null })).toContain('is ready: /state/agent.sock  (')
  })

  it('does not say ready when it is not', () => {
    expect(readyLine(ready({ state: 'degraded' }))).toContain('is degraded: http')
    expect(readyLine(ready({ state: 'failed', helper: null }))).toBe(
      `Brainstorm Sandbox is up without a VM: ${url}`,
    )
  })

  it('comes with the error and its next step', () => {
    expect(readyNotes(snapshot())).toEqual([])
    expect(readyNotes(snapshot({ error }))).toEqual([
      'bsm: a bzImage\\x1b (BOOT_CONFIG_INVALID, helper)',
      'next: unpack it',
    ])
  })

  it('says the same as JSON', () => {
    expect(readyJson(ready())).toMatchObject({ url, state: 'ready', backend: 'qemu', boot_ms: 412 })
  })
})
