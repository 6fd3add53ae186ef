import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sha256 } from '../../../core/protocol/index.ts'
import { Authenticator, differences, GoldenManifest, goldenHash } from './manifest.ts'

const digest = (text: string) => sha256(Buffer.from(text))
const manifest: GoldenManifest = {
  schema: 'bsm-golden/1',
  kernel: digest('kernel'),
  initrd: digest('initrd'),
  rootfs: digest('rootfs'),
  cmdline: 'quiet',
  cpus: 1,
  memory_mib: 256,
  backend: 'qemu',
  accelerator: 'tcg',
  machine: 'virt-7.2',
  qemu_version: '7.2.22',
  device_state: digest('device state'),
  ram: digest('ram'),
  nonce: 'ab'.repeat(32),
  image_digest: null,
  created_at: '2026-01-01T00:00:00.000Z',
}

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bsm-manifest-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))
const keyPath = () => join(directory, 'keys', 'manifest.key')

describe('an authenticated manifest', () => {
  it('is read back by whoever has the key', () => {
    const text = new Authenticator(keyPath()).sign(manifest)
    expect(new Authenticator(keyPath()).open(text, GoldenManifest)).toEqual(manifest)
  })

  it('is refused under another key', () => {
    const text = new Authenticator(keyPath()).sign(manifest)
    expect(() => new Authenticator(join(directory, 'other.key')).open(text, GoldenManifest)).toThrow(
      'authentication code',
    )
  })

  it.each(Object.keys(manifest))('is refused when its %s was changed', (field) => {
    const authenticator = new Authenticator(keyPath())
    const envelope = JSON.parse(authenticator.sign(manifest)) as { value: Record<string, unknown> }
    envelope.value[field] = 'changed'
    expect(() => authenticator.open(JSON.stringify(envelope), GoldenManifest)).toThrow('authentication code')
  })

  it('does not depend on the order or layout of its JSON', () => {
    const authenticator = new Authenticator(keyPath())
    const { value, hmac } = JSON.parse(authenticator.sign(manifest)) as { value: object; hmac: string }
    const turned = { hmac, value: Object.fromEntries(Object.entries(value).reverse()) }
    expect(authenticator.open(JSON.stringify(turned, null, 7), GoldenManifest)).toEqual(manifest)
  })

  it('is refused when it is something else that we signed', () => {
    const authenticator = new Authenticator(keyPath())
    expect(() => authenticator.open(authenticator.sign({ epoch: 1 }), GoldenManifest)).toThrow()
  })

  it('has a key that only its owner may read', () => {
    new Authenticator(keyPath())
    expect(statSync(keyPath()).mode & 0o777).toBe(0o600)
  })

  it('is not made with a damaged key', () => {
    writeFileSync(join(directory, 'short.key'), 'abcd\n', { mode: 0o600 })
    expect(() => new Authenticator(join(directory, 'short.key'))).toThrow('is damaged')
  })
})

describe('a key', () => {
  const key = 'ab'.repeat(32) + '\n'

  it('that others may read is refused', () => {
    writeFileSync(join(directory, 'open.key'), key, { mode: 0o644 })
    expect(() => new Authenticator(join(directory, 'open.key'))).toThrow('open to others')
  })

  it('behind a symbolic link is refused', () => {
    writeFileSync(join(directory, 'real.key'), key, { mode: 0o600 })
    symlinkSync(join(directory, 'real.key'), join(directory, 'link.key'))
    expect(() => new Authenticator(join(directory, 'link.key'))).toThrow('symbolic link')
  })
})

describe('the golden hash', () => {
  it('changes with every field', () => {
    const hashes = Object.keys(manifest).map((field) => goldenHash({ ...manifest, [field]: 'changed' }))
    expect(new Set([...hashes, goldenHash(manifest)]).size).toBe(hashes.length + 1)
  })
})

describe('parts', () => {
  it('that differ are named', () => {
    expect(differences(manifest, { ...manifest, cpus: 2, cmdline: 'loud' })).toEqual(['cmdline', 'cpus'])
  })

  it('that are equal are not', () => {
    expect(differences(manifest, { ...manifest, nonce: 'cd'.repeat(32) } as GoldenManifest)).toEqual([])
  })
})
