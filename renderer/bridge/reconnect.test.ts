import { describe, expect, it } from 'vitest'
import { afterClose, backoffMs, tokenOf, type Closed, type Credential } from './reconnect.ts'

const token: Credential = { kind: 'token', token: 't' }
const session: Credential = { kind: 'session', session: 's' }
const closed = (part: Partial<Closed>): Closed => ({
  code: 1006,
  opened: true,
  greeted: true,
  silentCloses: 0,
  ...part,
})

describe('backoffMs', () => {
  it('doubles from half a second up to fifteen', () =>
    expect([1, 2, 3, 4, 5, 6, 7, 20].map((n) => backoffMs(n, 1))).toEqual([
      500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000,
    ]))
  it('spreads pages by a quarter', () => expect(backoffMs(3, 0)).toBe(1_500))
})

describe('afterClose', () => {
  it('comes back with the session that the token gave', () =>
    expect(afterClose(closed({}), token, 's')).toEqual({ next: session }))
  it('tries a token again that never left the page', () =>
    expect(afterClose(closed({ opened: false, greeted: false }), token, null)).toEqual({ next: token }))
  it('keeps trying while the app is not there', () =>
    expect(afterClose(closed({ opened: false, greeted: false, silentCloses: 0 }), session, 's')).toEqual({
      next: session,
    }))
  it('gives up a refused token when there is no session', () =>
    expect(afterClose(closed({ greeted: false }), token, null)).toEqual({ signedOut: 'refused' }))
  it('falls back from a refused token to the session', () =>
    expect(afterClose(closed({ greeted: false }), token, 's')).toEqual({ next: session }))
  it.each([1008, 4401])('gives up a session that is refused with code %d', (code) =>
    expect(afterClose(closed({ code, greeted: false, silentCloses: 1 }), session, 's')).toEqual({
      signedOut: 'refused',
    }),
  )
  it('takes three silent closes for a refusal, not one', () => {
    expect(afterClose(closed({ greeted: false, silentCloses: 2 }), session, 's')).toEqual({ next: session })
    expect(afterClose(closed({ greeted: false, silentCloses: 3 }), session, 's')).toEqual({
      signedOut: 'refused',
    })
  })
})

describe('tokenOf', () => {
  it.each([
    ['#token=abc', 'abc'],
    ['#x=1&token=a%2Bb', 'a+b'],
    ['#token=', null],
    ['#other', null],
    ['', null],
  ])('reads %j as %j', (hash, token) => expect(tokenOf(hash)).toBe(token))
})
