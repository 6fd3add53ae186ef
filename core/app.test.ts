import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ready, scriptedApp, until } from './testing/fixture.ts'

const call = (tool: string, params: Record<string, string | number> = {}) => ({
  command_id: randomUUID(),
  tool,
  params,
  deadline_ms: 5_000,
})

describe('a dispatch', () => {
  it('is answered with its output, the verdict of its reset, and its audit entry', async () => {
    const app = scriptedApp()
    await app.start()
    await ready(app)
    const output: string[] = []
    const answer = await app.exec('tester', call('echo', { text: 'hello' }), {
      onOutput: ({ data_b64 }) => output.push(Buffer.from(data_b64, 'base64').toString()),
    })
    expect(answer.error).toBeUndefined()
    expect(answer.stdout).toBe('hello')
    expect(output).toEqual(['hello'])
    expect(answer.sandbox_reset_state?.verification_passed).toBe(true)
    expect(answer.audit_head).toMatch(/^sha256:/)
    expect(await app.verifyEvidence(answer.command_id)).toMatchObject({ ok: true, chunks: 3 })
    expect(await app.verifyAudit()).toMatchObject({ ok: true, head: answer.audit_head })
    await until(app, ({ dispatches }) => dispatches[0]?.state === 'done')
  })
})
