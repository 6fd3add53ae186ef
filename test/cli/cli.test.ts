import { get } from 'node:http'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { strFromU8, unzipSync } from 'fflate'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { Sandbox } from '../../client/index.ts'
import {
  AgentExecResponse,
  AppSnapshot,
  Diagnosis,
  ResetResponse,
  VerifyResponse,
} from '../../core/protocol/index.ts'
import { AppProcess } from '../support/app.ts'
import { until } from '../support/deadline.ts'
import { freshImage } from '../support/image.ts'
import { connectedWith } from '../support/processes.ts'
import { Scratch } from '../support/scratch.ts'
import { bsm, type Ran } from './bsm.ts'

/** `bsm` as a person runs it, against the real app; one app for the whole file. */
const scratch = new Scratch('cli')
let app: AppProcess

beforeAll(async () => {
  app = await (await AppProcess.start(scratch, await freshImage())).ready()
})
afterAll(async () => {
  await app?.dispose()
  scratch.remove()
})

const run = (...args: string[]): Promise<Ran> => bsm(scratch, args)
const json = (ran: Ran): unknown => JSON.parse(ran.stdout)

describe('bsm exec', () => {
  it('prints what the tool prints, and the verdict beside it', async () => {
    const ran = await run('exec', 'uname')
    expect(ran.stdout).toMatch(/^Linux .* aarch64/)
    expect(ran.stderr).toMatch(/^reset: wiped and verified/m)
    expect(ran.code).toBe(0)
  })

  it("ends with the tool's exit code", async () => {
    expect((await run('exec', 'sh', '--params', '{"command":"exit 7"}')).code).toBe(7)
    expect((await run('exec', 'sh', '--deadline-ms', '300', '--', 'sleep 60')).code).toBe(124)
    expect((await run('exec', 'no-such-tool')).code).toBe(127)
  })

  it('prints the whole response with --json', async () => {
    const ran = await run('exec', 'echo', '--params', '{"text":"hello"}', '--json')
    const response = AgentExecResponse.parse(json(ran))
    expect(response).toMatchObject({ exit_code: 0, stdout: 'hello\n' })
    expect(response.sandbox_reset_state).toMatchObject({
      verification_passed: true,
      verification_details: { fs_hash_match: true, vmm_api_state: 'running', divergence_action: 'none' },
    })
    expect(response.audit_head).toMatch(/^sha256:/)
  })

  it('carries stdin and files in and out', async () => {
    mkdirSync(scratch.path('files'))
    const bytes = Buffer.from([0, 255, 10, 13, 128])
    writeFileSync(scratch.path('files', 'in'), bytes)
    const ran = await bsm(
      scratch,
      [
        ...['exec', 'sh', '--stdin', '-', '--file-in', `${scratch.path('files', 'in')}:data/in`],
        ...['--file-out', `data/out:${scratch.path('files', 'out')}`, '--', 'cat; cp data/in data/out'],
      ],
      'from outside',
    )
    expect(ran).toMatchObject({ code: 0, stdout: 'from outside' })
    expect(readFileSync(scratch.path('files', 'out'))).toEqual(bytes)
  })

  it('refuses bad params with a sentence, and changes nothing', async () => {
    const ran = await run('exec', 'echo', '--params', '{"text":')
    expect(ran.code).not.toBe(0)
    expect(ran.stderr).toMatch(/^bsm: .*JSON/m)
  })
})

describe('bsm beside exec', () => {
  it('shows the status, for people and machines', async () => {
    const people = await run('status')
    expect(people.stdout).toMatch(/qemu, (tcg|kvm)/)
    const snapshot = AppSnapshot.parse(json(await run('status', '--json')))
    expect(snapshot.helper?.channels.map(({ port }) => port)).toEqual([1024, 1025, 1026, 1027])
  })

  it('resets and verifies on request', async () => {
    expect(ResetResponse.parse(json(await run('reset', '--json'))).verification_passed).toBe(true)
    expect(VerifyResponse.parse(json(await run('verify', '--json'))).fs_hash_match).toBe(true)
  })

  it('gives a client a token, and takes it back', async () => {
    const { token } = z
      .object({ token: z.string() })
      .parse(json(await run('clients', 'add', 'robot', '--json')))
    const connect = () =>
      Sandbox.connect({ token, client: 'robot', socketPath: `${scratch.stateDir}/agent.sock` })
    {
      await using sandbox = await connect()
      expect((await sandbox.exec('whoami')).stdout).toBe('sandbox\n')
    }
    expect((await run('clients', 'revoke', 'robot')).code).toBe(0)
    await expect(connect()).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('checks the audit log and a chain of evidence', async () => {
    const response = AgentExecResponse.parse(json(await run('exec', 'whoami', '--json')))
    expect((await run('audit', 'verify')).code).toBe(0)
    const evidence = await run('evidence', 'verify', response.command_id, '--json')
    expect(json(evidence)).toMatchObject({ ok: true, evidence_hash: response.evidence_hash })
  })

  it('lets only a person at a terminal recover', async () => {
    const ran = await run('recover', '--reason', 'because a script says so')
    expect(ran.code).not.toBe(0)
    expect(ran.stderr).toMatch(/terminal/)
  })

  it('says what a missing app is', async () => {
    const elsewhere = new Scratch('cli')
    try {
      const ran = await bsm(elsewhere, ['status'])
      expect(ran.code).toBe(3)
      expect(ran.stderr).toMatch(/no app is running/)
    } finally {
      elsewhere.remove()
    }
  })

  it('finds nothing missing on this machine', async () => {
    const ran = await run('doctor', '--json')
    expect(ran.code, ran.stdout).toBe(0)
  })

  it('writes a bundle of what it finds, without any secret of it', async () => {
    const { token } = z
      .object({ token: z.string() })
      .parse(json(await run('clients', 'add', 'reader', '--json')))
    const kept = readFileSync(`${scratch.stateDir}/clients.json`, 'utf8')
    const [, hash = ''] = /"token_sha256": ?"([0-9a-f]{64})"/.exec(kept) ?? []
    const secrets = [
      token,
      hash,
      readFileSync(`${scratch.stateDir}/control.token`, 'utf8').trim(),
      readFileSync(`${scratch.configDir}/audit.key`, 'utf8').trim(),
      'said-by-the-tool',
    ]
    expect(secrets.map((secret) => secret.length > 10)).toEqual(secrets.map(() => true))
    // Said where it does not belong: as the name of a tool, which is audited, and by a tool.
    await run('exec', token)
    await run('exec', 'echo', '--params', JSON.stringify({ text: `${token} said-by-the-tool` }))

    const path = scratch.path('bundle.zip')
    const ran = await run('doctor', '--bundle', path, '--json')
    expect(ran.code, ran.stderr).toBe(0)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const texts = Object.fromEntries(
      Object.entries(unzipSync(readFileSync(path))).map(([name, data]) => [name, strFromU8(data)]),
    )
    expect(json(ran)).toMatchObject({
      path,
      files: Object.keys(texts).map((name) => ({ name })),
    })
    const found = Diagnosis.parse(JSON.parse(texts['checks.json'] ?? ''))
    const shown = Diagnosis.parse(json(await run('doctor', '--json')))
    expect(found.ok).toBe(true)
    expect(found.checks.map(({ id }) => id)).toEqual(shown.checks.map(({ id }) => id))
    expect(AppSnapshot.parse(JSON.parse(texts['snapshot.json'] ?? '')).dispatches[0]).toMatchObject({
      tool: 'echo',
      stdout_head: '',
    })
    expect(texts['clients.json']).toContain('reader')
    expect(texts['audit.jsonl']).toContain('"tool":"[redacted]"')
    for (const [name, text] of Object.entries(texts))
      for (const secret of [...secrets, scratch.home]) expect(text.includes(secret), name).toBe(false)

    const again = await run('doctor', '--bundle', path)
    expect(again.code).not.toBe(0)
    expect(again.stderr).toMatch(/exists already/)
  })
})

describe('bsm up', () => {
  it('says at once what a machine without QEMU lacks, and ends with the code of it', async () => {
    const own = new Scratch('up')
    try {
      const ran = await bsm(own, ['up'], '', { BSM_QEMU: '/nonexistent/qemu-system-aarch64' })
      expect(ran.code).toBe(64)
      expect(ran.stderr).toMatch(/^bsm: QEMU for ARM64 .* cannot be run/m)
      expect(ran.stderr).toMatch(/^next: .*qemu-system-arm/m)
      expect(own.appLeftovers()).toEqual([])
    } finally {
      own.remove()
    }
  })

  it('leaves nothing at Ctrl-C', async () => {
    const own = new Scratch('up')
    try {
      const running = await (await AppProcess.start(own, await freshImage())).ready()
      await running.kill('SIGINT')
      expect(running.child.exitCode).toBe(0)
      expect(connectedWith(own.marker, own.root)).toEqual([])
      expect(own.appLeftovers()).toEqual([])
    } finally {
      own.remove()
    }
  })

  it('serves a page, joins an app that runs, and leaves nothing after down', async () => {
    const own = new Scratch('up')
    try {
      const first = await bsm(own, ['up', '--detach', '--json'])
      expect(first.code, first.stderr).toBe(0)
      const second = await bsm(own, ['up'])
      expect(second.code, second.stderr).toBe(0)
      const url = /http:\/\/127\.0\.0\.1:\d+\/#token=\S+/.exec(second.stdout)?.[0] ?? ''
      const status = await new Promise((resolve, reject) => {
        get(new URL(url), (response) => {
          response.resume()
          resolve(response.statusCode)
        }).on('error', reject)
      })
      expect(status).toBe(200)
      expect((await bsm(own, ['down'])).code).toBe(0)
      await until(20_000, 'the end of the app', () => connectedWith(own.marker, own.root).length === 0)
      expect(own.appLeftovers()).toEqual([])
    } finally {
      own.remove()
    }
  })

  it('runs the python image', async () => {
    const own = new Scratch('py')
    const python = await (
      await AppProcess.start(own, await freshImage('python'), { args: ['--memory-mib', '512'] })
    ).ready()
    try {
      const script =
        "python3 -c \"import json, ssl, sqlite3; print(json.dumps({'sum': sum(range(10))}))\" && git init -q r && bash -c 'echo ${BASH_VERSION%%.*}'"
      const ran = await bsm(own, ['exec', 'sh', '--deadline-ms', '60000', '--', script])
      expect(ran).toMatchObject({ code: 0, stdout: '{"sum": 45}\n5\n' })
      expect(ran.stderr).toMatch(/^reset: wiped and verified/m)
    } finally {
      await python.dispose()
      own.remove()
    }
  })
})
