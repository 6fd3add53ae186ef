import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { strFromU8, unzipSync } from 'fflate'
import { describe, expect, it } from 'vitest'
import { temporaryDirectory, temporaryPaths } from '../testing/fixture.ts'
import { snapshot } from '../testing/snapshot.ts'
import { makeBundle } from './bundle.ts'
import type { Machine } from './check.ts'
import { redact } from './redact.ts'

const AT = new Date('2026-01-02T03:04:05.000Z')
const TOKEN = `bsm_${'Ab3-'.repeat(10)}`
const none = { home: '/', secrets: [] }

const machine = (home: string): Machine => ({
  root: null,
  imageDir: join(home, 'images'),
  env: { HOME: home },
  platform: 'linux',
  nodeVersion: '20.19.0',
  run: () => Promise.resolve(''),
  preflight: () => Promise.reject(new Error('not here')),
  app: () => Promise.resolve(snapshot()),
  audit: () => Promise.resolve(null),
})

describe('a support bundle', () => {
  it('has no secret in any file, wherever one was said', async () => {
    const home = temporaryDirectory()
    const paths = temporaryPaths()
    for (const directory of [paths.stateDir, paths.logsDir]) mkdirSync(directory, { recursive: true })
    const control = 'kX9_'.repeat(11)
    writeFileSync(paths.controlToken, `${control}\n`)
    const client = {
      name: 'codex',
      created_at: AT.toISOString(),
      last_seen: null,
      token_sha256: 'ab'.repeat(32),
    }
    writeFileSync(paths.clients, JSON.stringify([client]))
    writeFileSync(join(paths.logsDir, 'app.log'), `{"msg":"${TOKEN} ${control} ${home}/notes"}\n`)
    writeFileSync(join(paths.logsDir, 'console.log'), 'password=hunter22 AKIAABCDEFGHIJKLMNOP\n')
    writeFileSync(paths.auditLog, `{"kind":"x","api_key":"v3rys3cret"}\n`)
    const { zip, files, name } = await makeBundle(machine(home), paths, AT)
    const texts = Object.fromEntries(
      Object.entries(unzipSync(zip)).map(([file, data]) => [file, strFromU8(data)]),
    )
    expect(Object.keys(texts).sort()).toEqual(files.map((file) => file.name).sort())
    expect(texts['app.log']).toBe('{"msg":"[redacted] [redacted] ~/notes"}\n')
    expect(JSON.parse(texts['clients.json'] ?? '')).toEqual([
      { name: 'codex', created_at: AT.toISOString(), last_seen: null },
    ])
    const all = Object.values(texts).join('')
    for (const secret of [TOKEN, control, 'hunter22', 'AKIAABCDEFGHIJKLMNOP', 'v3rys3cret', home, 'abab'])
      expect(all.replaceAll(/sha256:[0-9a-f]{64}/g, '')).not.toContain(secret)
    expect(name).toBe('bsm-diagnostics-2026-01-02T030405.zip')
  })

  it('is made also where there is nothing to read', async () => {
    const { files } = await makeBundle(machine(temporaryDirectory()), temporaryPaths(), AT)
    expect(files.map(({ name }) => name)).toEqual(['README.txt', 'checks.json', 'snapshot.json'])
  })
})

describe('redaction', () => {
  it.each([
    ['#token=abcdef', '#token=[redacted]'],
    ['Authorization: Bearer abcdef.ghi', 'Authorization: [redacted] [redacted]'],
    ['{\\"secret\\":\\"abc\\"}', '{\\"secret\\":\\"[redacted]\\"}'],
    ['https://me:pw@example.org/x', 'https://[redacted]@example.org/x'],
    ['ghp_0123456789abcdef', '[redacted]'],
    ['eyJhbGciOi.eyJzdWIiOi.c2ln', '[redacted].c2ln'],
    ['a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nb', 'a\n[redacted]\nb'],
  ])('takes the secret out of %j', (text, clean) => expect(redact(text, none)).toBe(clean))

  it('leaves digests, ports and words alone', () => {
    const text = `sha256:${'0f'.repeat(32)} port 1024 tokens were spent`
    expect(redact(text, none)).toBe(text)
  })

  it.each(['token', 'sk-', 'eyJaaaaaa-', 'a-a:', 'password = ', '-----BEGIN PRIVATE KEY-----'])(
    'is done in time with half a megabyte of %j',
    (piece) => {
      expect(redact(piece.repeat(Math.ceil((512 * 1024) / piece.length)), none).length).toBeGreaterThan(0)
    },
    20_000,
  )
})
