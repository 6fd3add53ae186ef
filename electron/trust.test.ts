import { describe, expect, it } from 'vitest'
import { isOwnFrame, isOwnUrl, mayUse } from './trust.ts'

describe('an address', () => {
  it.each(['bsm://app/', 'bsm://app/index.html?x#y', 'bsm://app'])('%s is ours', (url) =>
    expect(isOwnUrl(url)).toBe(true),
  )
  it.each([
    'https://app/',
    'bsm://app.evil.example/',
    'bsm://evil@app/',
    'bsm://app:81/',
    'bsm://other/',
    'bsm:app',
    'file:///app/',
    'about:blank',
    'javascript:alert(1)',
    '',
  ])('%s is not ours', (url) => expect(isOwnUrl(url)).toBe(false))
})

describe('a frame', () => {
  const main = { url: 'bsm://app/', parent: null }
  it('is trusted when it is the main frame of its window, at our address', () =>
    expect(isOwnFrame(main, main)).toBe(true))
  it('is not when it is gone, another, below another, or elsewhere', () => {
    expect(isOwnFrame(null, main)).toBe(false)
    expect(isOwnFrame({ ...main }, main)).toBe(false)
    const below = { url: 'bsm://app/', parent: main }
    expect(isOwnFrame(below, below)).toBe(false)
    const elsewhere = { url: 'https://example.com/', parent: null }
    expect(isOwnFrame(elsewhere, elsewhere)).toBe(false)
  })
})

it('a page may copy, and nothing else', () => {
  expect(mayUse('clipboard-sanitized-write', 'bsm://app/')).toBe(true)
  expect(mayUse('clipboard-sanitized-write', 'https://example.com/')).toBe(false)
  for (const permission of ['clipboard-read', 'media', 'geolocation', 'notifications', 'usb', 'unknown'])
    expect(mayUse(permission, 'bsm://app/')).toBe(false)
})
