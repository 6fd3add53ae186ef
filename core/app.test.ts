import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { constants, PerformanceObserver, type NodeGCPerformanceDetail } from 'node:perf_hooks'
import { describe, expect, it, vi } from 'vitest'
import type { App } from './app.ts'
import type { AuditEntry } from './audit/index.ts'
import { DegradedStore } from './degraded.ts'
import { ensurePaths, type Paths } from './paths.ts'
import { imageDirectory, onCleanup, ready, scriptedApp, temporaryPaths, until } from './testing/fixture.ts'

const call = (tool: string, params: Record<string, string | number> = {}) => ({
  command_id: randomUUID(),
  tool,
  params,
  deadline_ms: 5_000,
})

async function running(options: Parameters<typeof scriptedApp>[0] = {}): Promise<App> {
  const app = scriptedApp(options)
  await app.start()
  await ready(app)
  return app
}

const audited = (paths: Paths): AuditEntry[] =>
  readFileSync(paths.auditLog, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as AuditEntry)
const kindsIn = (paths: Paths): string[] => audited(paths).map(({ kind }) => kind)

describe('a dispatch', () => {
  it('is answered with its output, the verdict of its reset, and its audit entry', async () => {
    const app = await running()
    const output: string[] = []
    const answer = await app.exec('tester', call('echo', { text: 'hello' }), {
      onOutput: ({ data_b64 }) => output.push(Buffer.from(data_b64, 'base64').toString()),
    })
    expect(answer.error).toBeUndefined()
    expect(answer.stdout).toBe('hello')
    expect(output).toEqual(['hello'])
    expect(answer.sandbox_reset_state).toMatchObject({ verification_passed: true })
    expect(answer.audit_head).toMatch(/^sha256:/)
    expect(await app.verifyEvidence(answer.command_id)).toMatchObject({ ok: true, chunks: 3 })
    expect(await app.verifyAudit()).toMatchObject({ ok: true, head: answer.audit_head })
    expect(app.snapshot().dispatches[0]).toMatchObject({
      state: 'done',
      reset_passed: true,
      stdout_head: 'hello',
    })
    expect(app.snapshot().resets).toHaveLength(1)
  })

  it('is followed by a reset also when it failed', async () => {
    const app = await running()
    const answer = await app.exec('tester', call('timeout'))
    expect(answer).toMatchObject({
      exit_code: 137,
      stdout: 'so far',
      error: { code: 'SANDBOX_TOOL_TIMEOUT' },
    })
    expect(answer.sandbox_reset_state?.verification_passed).toBe(true)
  })

  it('may be sent while the VM starts, and waits for it', async () => {
    const app = scriptedApp()
    await app.start()
    expect(app.snapshot().state).toBe('starting')
    expect((await app.exec('tester', call('echo', { text: 'early' }))).stdout).toBe('early')
  })

  it('is refused when its id was used, also by an earlier run', async () => {
    const paths = temporaryPaths()
    const first = await running({ paths })
    const once = call('echo')
    await first.exec('tester', once)
    expect((await first.exec('tester', once)).error?.code).toBe('BAD_REQUEST')
    await first.stop()
    const second = await running({ paths })
    const answer = await second.exec('tester', once)
    expect(answer).toMatchObject({ exit_code: 254, sandbox_reset_state: null, audit_head: null })
    expect(answer.error?.code).toBe('BAD_REQUEST')
  })

  it('is cancelled when its client goes away, and the VM is wiped all the same', async () => {
    const app = await running()
    const gone = new AbortController()
    const answering = app.exec('tester', call('hang'), { signal: gone.signal })
    await until(app, ({ dispatches }) => dispatches[0]?.state === 'running')
    gone.abort()
    const answer = await answering
    expect(answer).toMatchObject({ exit_code: 137, error: { code: 'CANCELLED' } })
    expect(answer.sandbox_reset_state?.verification_passed).toBe(true)
  })

  it('cannot be cancelled by another client, but by a person', async () => {
    const app = await running()
    const hanging = call('hang')
    const answering = app.exec('tester', hanging)
    await until(app, ({ dispatches }) => dispatches[0]?.state === 'running')
    expect(app.cancel(hanging.command_id, 'someone else')).toBe(false)
    expect(app.cancel(hanging.command_id)).toBe(true)
    expect((await answering).error?.code).toBe('CANCELLED')
  })

  it('whose stored evidence is of another dispatch is not believed', async () => {
    const app = await running()
    const answer = await app.exec('tester', call('forge'))
    expect(answer.error?.code).toBe('EVIDENCE_MISMATCH')
    expect(answer.sandbox_reset_state?.verification_passed).toBe(true)
  })

  it('leaves no trace of its parameters or output in the audit log', async () => {
    const paths = temporaryPaths()
    const app = await running({ paths })
    await app.exec('tester', call('echo', { text: 'a very secret word' }))
    expect(readFileSync(paths.auditLog, 'utf8')).not.toContain('secret')
  })
})

describe('questions to the guest', () => {
  it('by the hundred keep nobody from a dispatch, and cost no helper', async () => {
    const app = await running({ script: 'query-silent' })
    const asked = Array.from({ length: 100 }, () => app.query('asker', 'ProcessList'))
    const ends = Promise.allSettled(asked)
    const answer = await app.exec('tester', call('echo', { text: 'through' }))
    expect(answer).toMatchObject({ stdout: 'through', sandbox_reset_state: { verification_passed: true } })
    expect(app.snapshot().helper_restarts).toBe(0)
    await app.stop()
    expect((await ends).every(({ status }) => status === 'rejected')).toBe(true)
  })

  it("are refused until another client's VM is wiped", async () => {
    const app = await running()
    // Answered when the app stops: this reset never ends.
    void app.exec('tester', call('next-reset', { how: 'silent' }))
    await until(app, ({ state }) => state === 'resetting')
    await expect(app.query('other', 'ProcessList')).rejects.toMatchObject({ code: 'BUSY' })
    expect(await app.query('tester', 'ProcessList')).toMatchObject({ query_kind: 'ProcessList' })
  })
})

describe('what a guest says', () => {
  it('in an error is bounded where it is shown', async () => {
    const app = await running()
    const answer = await app.exec('tester', call('complain'))
    expect(answer.error?.message).toHaveLength(300_000)
    expect(app.snapshot().dispatches[0]?.error?.message.length).toBeLessThan(1_100)
  })

  it('on its console crowds nothing else out of the log', async () => {
    const paths = temporaryPaths()
    const said: string[] = []
    const app = await running({ paths, people: { write: (text) => said.push(text) } })
    await app.exec('tester', call('console', { lines: 6_000 }))
    expect(readFileSync(join(paths.logsDir, 'app.log'), 'utf8')).not.toContain('console line')
    expect(said.join('')).not.toContain('console line')
    const consoleLogs = readdirSync(paths.logsDir).filter((name) => name.startsWith('console.log'))
    const kept = consoleLogs.map((name) => readFileSync(join(paths.logsDir, name), 'utf8')).join('')
    expect(kept).toContain('console line 6000 ')
    expect(kept.length).toBeLessThan(5 * 1024 * 1024)
  })
})

describe('a helper that dies', () => {
  it('during a dispatch is a clear error, and another one takes its place', async () => {
    const paths = temporaryPaths()
    const app = await running({ paths })
    const answer = await app.exec('tester', call('crash'))
    expect(answer.error).toMatchObject({
      code: 'VM_LIFECYCLE_ERROR',
      message: 'The helper was killed by SIGKILL.',
    })
    expect(answer.sandbox_reset_state).toMatchObject({ verification_passed: false })
    await ready(app)
    expect(app.snapshot()).toMatchObject({
      helper_restarts: 1,
      last_crash: 'The helper was killed by SIGKILL.',
    })
    expect((await app.exec('tester', call('echo', { text: 'again' }))).stdout).toBe('again')
    expect(kindsIn(paths)).toContain('helper_crashed')
  })

  it('during a reset leaves the dispatch answered and unverified, and is replaced', async () => {
    const app = await running()
    const answer = await app.exec('tester', call('next-reset', { how: 'crash' }))
    expect(answer.exit_code).toBe(0)
    expect(answer.sandbox_reset_state).toMatchObject({ verification_passed: false })
    expect(answer.sandbox_reset_state?.error).toBeDefined()
    await ready(app)
    expect(app.snapshot().degraded).toBeNull()
  })

  it('or does not answer a reset is replaced', async () => {
    const deadlines = { execGraceMs: 1_000, resetMs: 300, verifyMs: 1_000, quickMs: 1_000 }
    const app = await running({ deadlines })
    const answer = await app.exec('tester', call('next-reset', { how: 'silent' }))
    expect(answer.sandbox_reset_state?.error?.code).toBe('TIMEOUT')
    await until(app, ({ helper_restarts, state }) => helper_restarts === 1 && state === 'ready')
  })

  it.each([
    ['when it dies', call('crash')],
    ['when it cannot reset', call('next-reset', { how: 'failed' })],
  ])('keeps those who wait in their place: %s', async (_name, first) => {
    const app = await running()
    const others = Array.from({ length: 8 }, (_, n) => `waiter-${n}`)
    const answers = await Promise.all([
      app.exec('first', first),
      ...others.map((client) => app.exec(client, call('echo', { text: client }))),
    ])
    expect(answers.slice(1).map(({ stdout, error }) => error?.message ?? stdout)).toEqual(others)
  })
})

describe('a VM that dies while nobody uses it', () => {
  it('is replaced without anyone asking', async () => {
    const app = await running()
    await app.exec('tester', call('next-reset', { how: 'then-dies' }))
    await until(app, ({ resets }) => resets.length === 2)
    await ready(app)
    expect((await app.exec('tester', call('echo', { text: 'alive' }))).stdout).toBe('alive')
  })

  it('during a dispatch is an error of the guest, and the reset makes another', async () => {
    const app = await running()
    const answer = await app.exec('tester', call('vm-dies'))
    expect(answer.error?.code).toBe('GUEST_UNREACHABLE')
    expect(answer.sandbox_reset_state?.verification_passed).toBe(true)
    expect(app.snapshot().helper_restarts).toBe(0)
  })
})

describe('a divergence', () => {
  const degradedBy = async (how: string, paths: Paths) => {
    const app = await running({ paths })
    const waiting = call('echo')
    const [answer, refused] = await Promise.all([
      app.exec('tester', call('next-reset', { how })),
      app.exec('other', waiting),
    ])
    return { app, answer, refused }
  }

  it.each([
    ['that the helper reports', 'divergence', 'RESET_VERIFICATION_DIVERGENCE', ['fs_hash']],
    ['of silence twice', 'timeout', 'RESET_VERIFICATION_TIMEOUT', ['open_fd_count']],
    [
      'in a reset that did nothing and says that it passed',
      'did-nothing',
      'RESET_VERIFICATION_DIVERGENCE',
      ['wipe'],
    ],
  ])('%s degrades at once, and on disk before it is told', async (_name, how, code, sources) => {
    const paths = temporaryPaths()
    const { app, answer, refused } = await degradedBy(how, paths)
    expect(answer.sandbox_reset_state).toMatchObject({ verification_passed: false, error: { code } })
    expect(refused).toMatchObject({ error: { code: 'DEGRADED' }, sandbox_reset_state: null })
    expect(JSON.parse(readFileSync(paths.degraded, 'utf8'))).toMatchObject({ code, sources })
    expect(statSync(paths.degraded).mode & 0o777).toBe(0o600)
    expect(app.snapshot()).toMatchObject({ state: 'degraded', degraded: { code, sources } })
    await expect(app.reset('tester')).rejects.toMatchObject({ code: 'DEGRADED' })
    await expect(app.up()).rejects.toMatchObject({ code: 'DEGRADED' })
    expect(kindsIn(paths)).toContain('degraded')
  })

  it('survives a restart, and is left only by a person, whose reason is recorded', async () => {
    const paths = temporaryPaths()
    const { app } = await degradedBy('divergence', paths)
    await app.stop()
    const after = scriptedApp({ paths })
    await after.start()
    expect(after.snapshot()).toMatchObject({ state: 'degraded', degraded: { sources: ['fs_hash'] } })
    expect((await after.exec('tester', call('echo'))).error?.code).toBe('DEGRADED')
    await after.recover('looked at the disk')
    expect(after.snapshot().state).toBe('ready')
    expect(existsSync(paths.degraded)).toBe(false)
    expect((await after.exec('tester', call('echo', { text: 'well' }))).stdout).toBe('well')
    expect(audited(paths).find(({ kind }) => kind === 'recovered')).toMatchObject({
      reason: 'looked at the disk',
    })
    expect((await after.verifyAudit()).ok).toBe(true)
  })

  it('is left whole also when the spare record for the next time cannot be laid out', async () => {
    const { app } = await degradedBy('divergence', temporaryPaths())
    const arm = vi.spyOn(DegradedStore.prototype, 'arm').mockImplementation(() => {
      throw new Error('The disk is full.')
    })
    onCleanup(() => arm.mockRestore())
    await app.recover('looked at the disk')
    expect(arm).toHaveBeenCalled()
    const answer = await app.exec('tester', call('echo', { text: 'well' }))
    expect(answer).toMatchObject({ stdout: 'well', sandbox_reset_state: { verification_passed: true } })
  })

  it('cannot be healed by deleting its record while the app is down', async () => {
    const paths = temporaryPaths()
    const { app } = await degradedBy('divergence', paths)
    await app.stop()
    for (let restarts = 0; restarts < 2; restarts += 1) {
      rmSync(paths.degraded, { force: true })
      const after = scriptedApp({ paths })
      await after.start()
      expect(after.snapshot()).toMatchObject({
        state: 'degraded',
        degraded: { message: expect.stringContaining('record of degraded mode was missing') as string },
      })
      expect(existsSync(paths.degraded), 'it is put back').toBe(true)
      await after.stop()
    }
    const last = scriptedApp({ paths })
    await last.start()
    await last.recover('looked at the disk')
    await last.stop()
    const healthy = await running({ paths })
    expect(healthy.snapshot().degraded).toBeNull()
  })

  it('found by a verification degrades too', async () => {
    const app = await running({ script: 'verify-lie' })
    await app.reset('tester')
    await expect(app.verify('tester')).rejects.toMatchObject({ code: 'RESET_VERIFICATION_DIVERGENCE' })
    expect(app.snapshot().degraded?.sources).toEqual(['open_fd_count'])
  })

  it('is assumed when its record cannot be read', async () => {
    const paths = temporaryPaths()
    ensurePaths(paths)
    writeFileSync(paths.degraded, 'half a rec')
    const app = scriptedApp({ paths })
    await app.start()
    expect(app.snapshot().state).toBe('degraded')
  })

  it('is not what a reset is that merely failed: the helper is replaced', async () => {
    const app = await running()
    const answer = await app.exec('tester', call('next-reset', { how: 'failed' }))
    expect(answer.sandbox_reset_state?.error?.code).toBe('RESET_FAILED')
    await until(app, ({ helper_restarts, state }) => helper_restarts === 1 && state === 'ready')
  })
})

describe('the app', () => {
  it('can be talked to before the VM is ready, and says that it is starting', async () => {
    const app = scriptedApp({ script: 'boot-silent' })
    await app.start()
    expect(app.snapshot()).toMatchObject({ state: 'starting', message: 'Starting the VM.' })
  })

  it('stops at any time, and leaves nothing behind', async () => {
    const paths = temporaryPaths()
    const app = await running({ paths })
    const answering = app.exec('tester', call('hang'))
    await until(app, ({ dispatches }) => dispatches[0]?.state === 'running')
    await app.stop()
    expect((await answering).error?.code).toBe('CANCELLED')
    for (const path of [
      paths.agentSocket,
      paths.controlSocket,
      paths.controlToken,
      paths.lock,
      paths.helperIdentity,
    ])
      expect(existsSync(path), path).toBe(false)
    await app.whenStopped
    expect(kindsIn(paths).slice(-2), 'the dispatch has its entry').toEqual(['dispatch', 'app_stopped'])
  })

  it('is one for each state directory', async () => {
    const paths = temporaryPaths()
    await running({ paths })
    await expect(scriptedApp({ paths }).start()).rejects.toMatchObject({ code: 'BUSY' })
  })

  it('says why the VM cannot start, and stays to be asked', async () => {
    const app = scriptedApp({ script: 'boot-invalid' })
    await app.start()
    await until(app, ({ state }) => state === 'failed')
    expect(app.snapshot().error).toMatchObject({
      code: 'BOOT_CONFIG_INVALID',
      message: 'The kernel is a bzImage.',
    })
    expect((await app.exec('tester', call('echo'))).error?.message).toBe('The kernel is a bzImage.')
  })

  it('says that there is no image, and with which command to build it', async () => {
    const app = scriptedApp({ imageDir: '/nowhere' })
    await app.start()
    const { error } = await until(app, ({ state }) => state === 'failed')
    expect(error).toMatchObject({ code: 'BOOT_CONFIG_INVALID', next_step: 'Build it: npm run guest.' })
  })

  it('goes down and up again, with new settings', async () => {
    const app = await running()
    expect(app.settings({ cpus: 2 })).toMatchObject({ settings: { cpus: 2 }, restart_needed: true })
    await app.down()
    expect(app.snapshot()).toMatchObject({ state: 'stopped', helper: null })
    expect((await app.exec('tester', call('echo'))).error?.code).toBe('VM_LIFECYCLE_ERROR')
    await app.up()
    expect(app.snapshot().state).toBe('ready')
  })

  it('tells whoever it cuts off that the VM was stopped, and nothing of its guest', async () => {
    const app = await running()
    const cut = app.exec('tester', call('hang'))
    await until(app, ({ state }) => state === 'dispatching')
    await app.down()
    expect(await cut).toMatchObject({
      error: { code: 'CANCELLED', layer: 'app', message: 'The VM was stopped while it ran.' },
    })
  })

  it('goes down and up again as it was last told, without waiting in between', async () => {
    const paths = temporaryPaths()
    const app = scriptedApp({ paths, autoStart: false })
    await app.start()
    const first = app.up()
    while (!existsSync(paths.helperIdentity)) await new Promise(setImmediate)
    const down = app.down()
    await Promise.all([expect(first).rejects.toMatchObject({ code: 'CANCELLED' }), down, app.up()])
    const answer = await app.exec('tester', call('echo', { text: 'well' }))
    expect(answer).toMatchObject({ stdout: 'well', sandbox_reset_state: { verification_passed: true } })

    const [, second] = await Promise.allSettled([app.down(), app.up(), app.down()])
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'CANCELLED' } })
    expect(app.snapshot().state).toBe('stopped')
  })

  it('asked to start while it runs leaves those who wait alone, and says that a restart is needed', async () => {
    const imageDir = imageDirectory()
    const app = await running({ imageDir })
    app.settings({ cpus: 2 })
    const [held, waiting] = [call('hang'), call('echo', { text: 'waited' })]
    const answers = [app.exec('a', held), app.exec('b', waiting)]
    await until(app, ({ dispatches }) => dispatches.some(({ state }) => state === 'running'))
    rmSync(imageDir, { recursive: true })
    await app.up()
    expect(app.settings().restart_needed).toBe(true)
    app.cancel(held.command_id)
    expect((await answers[1])?.stdout).toBe('waited')
  })

  it('asked to start while it starts waits for that start', async () => {
    const app = scriptedApp({ autoStart: false })
    await app.start()
    const first = app.up()
    const waiting = app.exec('a', call('echo', { text: 'waited' }))
    app.settings({ cpus: 2 })
    await Promise.all([first, app.up()])
    expect(app.settings().restart_needed).toBe(true)
    expect((await waiting).stdout).toBe('waited')
  })

  it('takes over after a kill, ends what was left, and says so', async () => {
    const paths = temporaryPaths()
    ensurePaths(paths)
    writeFileSync(paths.lock, JSON.stringify({ pid: 999_999_999, start: 'linux:another-boot:1' }))
    const app = await running({ paths })
    expect(app.snapshot().state).toBe('ready')
  })

  it('survives a listener that throws', async () => {
    const app = await running()
    app.subscribe(() => {
      throw new RangeError('Invalid string length')
    })
    app.onOutput(() => {
      throw new RangeError('Invalid string length')
    })
    const heard = until(app, ({ dispatches }) => dispatches[0]?.state === 'done')
    expect((await app.exec('tester', call('echo', { text: 'on' }))).stdout).toBe('on')
    await heard
    expect(app.snapshot().helper_restarts).toBe(0)
  })

  it('notifies at most 20 times a second, with snapshots that nobody can change', async () => {
    const app = await running()
    let heard = 0
    const unsubscribe = app.subscribe(() => (heard += 1))
    const began = performance.now()
    for (let n = 0; n < 10; n += 1) await app.exec('tester', call('echo'))
    const seconds = (performance.now() - began) / 1000
    unsubscribe()
    expect(heard).toBeLessThanOrEqual(20 * seconds + 2)
    expect(Object.isFrozen(app.snapshot().dispatches[0])).toBe(true)
  })
})

describe('garbage', () => {
  it('is collected at the fiftieth reset', async () => {
    let collected = 0
    const observer = new PerformanceObserver((list) => {
      for (const { detail } of list.getEntries() as unknown as { detail: NodeGCPerformanceDetail }[])
        if ((detail.flags ?? 0) & constants.NODE_PERFORMANCE_GC_FLAGS_FORCED) collected += 1
    })
    onCleanup(() => observer.disconnect())
    observer.observe({ entryTypes: ['gc'] })
    const app = await running()
    for (let n = 1; n < 50; n += 1) await app.reset('tester')
    expect(collected).toBe(0)
    await app.reset('tester')
    await vi.waitUntil(() => collected > 0, { timeout: 10_000 })
  })
})
