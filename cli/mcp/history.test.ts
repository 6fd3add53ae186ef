import { randomUUID } from 'node:crypto'
import { expect, it } from 'vitest'
import { AgentExecResponse } from '../../core/protocol/index.ts'
import { execResponse } from '../../client/scripted-server.ts'
import { History } from './history.ts'

const response = (stdout: string) => {
  const asked = { kind: 'exec', request_id: randomUUID(), command_id: randomUUID() }
  return AgentExecResponse.parse(execResponse(asked, { stdout }))
}

it('keeps the newest, bounded in number', () => {
  const history = new History()
  const all = Array.from({ length: 40 }, () => response('x'))
  for (const each of all) history.keep('sh', each)
  expect(history.list().map((kept) => kept.response)).toEqual(all.slice(-32).reverse())
  expect(history.get(all[0]?.command_id ?? '')).toBeUndefined()
})

it('and in bytes', () => {
  const history = new History()
  const large = 'x'.repeat(30 * 1024 * 1024)
  for (let i = 0; i < 4; i += 1) history.keep('sh', response(large))
  expect(history.list()).toHaveLength(2)
})
