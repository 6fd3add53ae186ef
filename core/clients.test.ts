import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, it } from 'vitest'
import { ClientStore } from './clients.ts'
import { temporaryDirectory } from './testing/fixture.ts'

let path: string
let now: number
const clock = { now: () => new Date(now), monotonic: () => now }
const store = (): ClientStore => new ClientStore(path, clock)

beforeEach(() => {
  path = join(temporaryDirectory(), 'clients.json')
  now = 0
})

it('a token opens for its own client, over restarts, until it is revoked', () => {
  const token = store().add('a')
  const other = store().add('b')
  expect(store().authenticate('a', token)).toBe(true)
  for (const [name, given] of [
    ['a', other],
    ['b', token],
    ['c', token],
    ['a', ''],
    ['a', token.slice(0, -1)],
  ] as const)
    expect(store().authenticate(name, given), `${name} ${given}`).toBe(false)
  store().revoke('a')
  expect(store().authenticate('a', token)).toBe(false)
})

it('what is kept is no token, and for this user alone', () => {
  const token = store().add('a')
  expect(readFileSync(path, 'utf8')).not.toContain(token.slice(4))
  expect(statSync(path).mode & 0o777).toBe(0o600)
})

it('when a client was last seen is kept to the minute', () => {
  const clients = store()
  const token = clients.add('a')
  const seen = (): string | null | undefined => clients.list()[0]?.last_seen
  expect(seen()).toBeNull()
  clients.authenticate('a', token)
  now = 30_000
  clients.authenticate('a', token)
  expect(seen()).toBe(new Date(0).toISOString())
  now = 61_000
  clients.authenticate('a', token)
  expect(seen()).toBe(new Date(61_000).toISOString())
})

it('names of the app, names twice and names that are not there are refused', () => {
  const clients = store()
  clients.add('a')
  for (const name of ['a', 'cli', 'ui', 'app']) expect(() => clients.add(name)).toThrow()
  expect(() => clients.revoke('nobody')).toThrow('There is no client nobody.')
})

it('a list that cannot be read is a sentence, not an empty list', () => {
  writeFileSync(path, '[{')
  expect(store).toThrow('cannot be read as a list of clients')
})
