import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { isAlive, ProcessIdentity } from '../process-identity.ts'
import { BsmError } from '../protocol/index.ts'
import { onCleanup, temporaryDirectory } from '../testing/fixture.ts'
import { scriptedHelper } from '../testing/scripted-helper-command.ts'
import { HelperProcess } from './process.ts'
import { HelperIdentityFile, HelperSupervisor, type SupervisorState } from './index.ts'

const LADDER = { shutdownMs: 1_000, eofMs: 700, sigtermMs: 700, sigkillMs: 2_000 }

function supervise(
  script = '',
  options: {
    restarts?: number
    bootMs?: number
    identity?: (path: string) => HelperIdentityFile
    admit?: () => Promise<void>
  } = {},
) {
  const directory = temporaryDirectory()
  const identityPath = join(directory, 'helper.json')
  const states: SupervisorState[] = []
  const log: string[] = []
  const supervisor = new HelperSupervisor({
    ...scriptedHelper(script),
    cwd: '/',
    identity: (options.identity ?? ((path) => new HelperIdentityFile(path)))(identityPath),
    onState: (state) => states.push(state),
    onEvent: () => undefined,
    onLog: (line) => log.push(line),
    ladder: LADDER,
    limits: {
      restarts: options.restarts ?? 2,
      windowMs: 60_000,
      firstDelayMs: 10,
      longestDelayMs: 20,
      stableMs: 60_000,
    },
    bootMs: options.bootMs,
    admit: options.admit,
  })
  onCleanup(() => supervisor.stop())
  const identity = (): ProcessIdentity =>
    ProcessIdentity.parse(JSON.parse(readFileSync(identityPath, 'utf8')))
  const kinds = (): string[] => states.map(({ kind }) => kind)
  return { supervisor, identity, identityPath, kinds, log }
}

const eventually = async (holds: () => boolean): Promise<void> => {
  for (const until = performance.now() + 15_000; !holds(); await sleep(20))
    if (performance.now() > until) throw new Error('it did not come to hold')
}

describe('a supervised helper', () => {
  it('is recorded while it runs, and gone with its record when stopped', async () => {
    const { supervisor, identity, identityPath, kinds } = supervise()
    await supervisor.start([])
    const recorded = identity()
    expect(isAlive(recorded)).toBe(true)
    await supervisor.stop()
    await supervisor.stop()
    expect(isAlive(recorded)).toBe(false)
    expect(existsSync(identityPath)).toBe(false)
    expect(kinds()).toEqual(['starting', 'ready', 'stopping', 'stopped'])
  })

  it('is started again after a kill, and what was asked of the old one is rejected with why', async () => {
    const { supervisor, identity, kinds } = supervise()
    await supervisor.start([])
    const asked = supervisor.request<'exec'>(
      { kind: 'exec', command_id: crypto.randomUUID(), tool: 'hang', params: {}, deadline_ms: 1_000 },
      10_000,
    )
    process.kill(identity().pid, 'SIGKILL')
    await expect(asked).rejects.toThrow('The helper was killed by SIGKILL.')
    await eventually(() => kinds().filter((kind) => kind === 'ready').length === 2)
  })

  it('is admitted before every start, and a refusal is final', async () => {
    const answers = [Promise.resolve(), Promise.reject(new BsmError('IMAGE_MISMATCH', 'app', 'Not ours.'))]
    answers[1]?.catch(() => undefined)
    let asked = 0
    const admit = () => answers[asked++] ?? Promise.resolve()
    const { supervisor, identity, kinds } = supervise('', { admit })
    await supervisor.start([])
    process.kill(identity().pid, 'SIGKILL')
    await eventually(() => kinds().at(-1) === 'failed')
    expect(supervisor.state).toMatchObject({ error: { code: 'IMAGE_MISMATCH', message: 'Not ours.' } })
    expect(asked).toBe(2)
    expect(kinds().filter((kind) => kind === 'ready')).toHaveLength(1)
  })

  it('is not started when it was stopped while it waited to be admitted', async () => {
    let admitted: () => void = () => undefined
    const admit = () => new Promise<void>((resolve) => (admitted = resolve))
    const { supervisor, identityPath, kinds } = supervise('', { admit })
    const started = supervisor.start([])
    await supervisor.stop()
    await expect(started).rejects.toMatchObject({ code: 'CANCELLED' })
    admitted()
    await sleep(0)
    expect(existsSync(identityPath)).toBe(false)
    expect(kinds()).toEqual(['starting', 'stopping', 'stopped'])
  })

  it('is given up after its budget of restarts, with the last reason', async () => {
    const { supervisor, kinds } = supervise('boot-crash', { restarts: 2 })
    await expect(supervisor.start([])).rejects.toThrow(/kept ending.*exit code 66: the VM failed/)
    expect(kinds().filter((kind) => kind === 'starting')).toHaveLength(3)
    expect(kinds().at(-1)).toBe('failed')
  })

  it('may be started again by a person after that', async () => {
    const { supervisor } = supervise('boot-crash', { restarts: 0 })
    await expect(supervisor.start([])).rejects.toThrow('kept ending')
    await expect(supervisor.start([])).rejects.toThrow('kept ending')
  })

  it('is not tried again with a configuration that is invalid', async () => {
    const { supervisor, kinds } = supervise('boot-invalid')
    await expect(supervisor.start([])).rejects.toMatchObject({
      code: 'BOOT_CONFIG_INVALID',
      message: 'The kernel is a bzImage.',
    })
    expect(kinds()).toEqual(['starting', 'failed'])
  })

  it('is not tried again on a machine that cannot run the VM, whatever the helper calls it', async () => {
    const { supervisor, kinds } = supervise('boot-preflight')
    await expect(supervisor.start([])).rejects.toMatchObject({
      code: 'PREFLIGHT_FAILED',
      message: 'QEMU cannot be run.',
      nextStep: 'Install it.',
    })
    expect(kinds()).toEqual(['starting', 'failed'])
  })

  it('that ends with 64 without a word is not tried again either', async () => {
    const { supervisor, kinds } = supervise('boot-preflight-mute')
    await expect(supervisor.start([])).rejects.toMatchObject({ code: 'PREFLIGHT_FAILED' })
    expect(kinds()).toEqual(['starting', 'failed'])
  })

  it('is ended when it does not boot in time', async () => {
    const { supervisor, identity } = supervise('boot-silent', { bootMs: 500, restarts: 0 })
    const starting = supervisor.start([])
    const recorded = identity()
    await expect(starting).rejects.toThrow('did not boot a VM')
    expect(isAlive(recorded)).toBe(false)
  })

  it('may be stopped while it boots, and then nothing is left', async () => {
    const { supervisor, identity } = supervise('boot-silent')
    const starting = supervisor.start([])
    const recorded = identity()
    await Promise.all([expect(starting).rejects.toMatchObject({ code: 'CANCELLED' }), supervisor.stop()])
    expect(isAlive(recorded)).toBe(false)
  })

  it('ends as it was last told, however fast that was', async () => {
    const { supervisor, kinds } = supervise()
    await supervisor.start([])
    void supervisor.stop()
    const again = supervisor.start([])
    await Promise.all([supervisor.stop(), expect(again).rejects.toMatchObject({ code: 'CANCELLED' })])
    expect(kinds().at(-1)).toBe('stopped')
    void supervisor.stop()
    await supervisor.start([])
    expect(kinds().at(-1)).toBe('ready')
  })

  it('is tried again when the disk was too full to record it', async () => {
    let full = true
    class FullAtFirst extends HelperIdentityFile {
      override record(pid: number): void {
        if (!full) return super.record(pid)
        full = false
        throw new BsmError('VM_LIFECYCLE_ERROR', 'app', 'The disk is full.')
      }
    }
    const { supervisor, identity, kinds } = supervise('', { identity: (path) => new FullAtFirst(path) })
    await supervisor.start([])
    expect(isAlive(identity())).toBe(true)
    expect(kinds()).toEqual(['starting', 'restarting', 'starting', 'ready'])
  })

  it('that does not exist is a sentence', async () => {
    const supervisor = new HelperSupervisor({
      command: '/nowhere/helper',
      args: [],
      env: {},
      cwd: '/',
      identity: new HelperIdentityFile(join(temporaryDirectory(), 'helper.json')),
      onState: () => undefined,
      onEvent: () => undefined,
      onLog: () => undefined,
      limits: { restarts: 0, windowMs: 1, firstDelayMs: 1, longestDelayMs: 1, stableMs: 1 },
    })
    await expect(supervisor.start([])).rejects.toThrow('/nowhere/helper cannot be started: it is not there.')
  })

  it('may say what is not in the contract without ending anything', async () => {
    const { supervisor, log } = supervise('garbage,chatty')
    await supervisor.start([])
    await eventually(() => log.length >= 2)
    expect(log).toContain('The helper sent a line that is not JSON.')
    expect(log).toContain('a sentence on stderr')
    expect(supervisor.state.kind).toBe('ready')
  })
})

describe('the stop ladder', () => {
  it.each([
    ['shutdown', ''],
    ['end of input', 'deaf-to-shutdown'],
    ['SIGTERM', 'deaf-to-shutdown,deaf-to-eof'],
    ['SIGKILL', 'deaf-to-shutdown,deaf-to-eof,deaf-to-sigterm'],
  ])('ends with %s a helper that hears nothing gentler', async (_rung, script) => {
    const { supervisor, identity } = supervise(script)
    await supervisor.start([])
    const recorded = identity()
    await supervisor.stop()
    expect(isAlive(recorded)).toBe(false)
  })
})

describe('a leftover of a crashed app', () => {
  const leftover = () => {
    const helper = new HelperProcess({
      ...scriptedHelper('deaf-to-shutdown,deaf-to-eof,deaf-to-sigterm'),
      cwd: '/',
      onEvent: () => undefined,
      onLog: () => undefined,
    })
    onCleanup(() => helper.kill())
    const path = join(temporaryDirectory(), 'helper.json')
    return { helper, path, file: new HelperIdentityFile(path) }
  }

  it('is found by its recorded identity, ended however deaf it is, and reported', async () => {
    const { helper, file, path } = leftover()
    await helper.booted
    file.record(helper.pid ?? 0)
    expect(await file.endLeftover()).toMatch(/helper of an earlier run \(process \d+\).*was killed/)
    await helper.exited
    expect(existsSync(path)).toBe(false)
  })

  it('is not taken for another process that got its number', async () => {
    const { helper, file, path } = leftover()
    await helper.booted
    writeFileSync(path, JSON.stringify({ pid: helper.pid, start: 'linux:another-boot:1' }))
    expect(await file.endLeftover()).toBeNull()
    expect(await Promise.race([helper.exited, sleep(200, 'still there')])).toBe('still there')
  })

  it('is no concern when the record is missing or nonsense', async () => {
    const file = new HelperIdentityFile(join(temporaryDirectory(), 'helper.json'))
    expect(await file.endLeftover()).toBeNull()
    const { file: other, path } = leftover()
    writeFileSync(path, 'nonsense')
    expect(await other.endLeftover()).toBeNull()
  })
})

it('inherits no secret from the environment of the app', async () => {
  const { helperEnvironment } = await import('./index.ts')
  const from = { PATH: '/bin', BSM_TOKEN: 'secret', NODE_OPTIONS: '--require evil', LD_PRELOAD: 'evil.so' }
  expect(helperEnvironment(from, { BSM_STATE_DIR: '/s' })).toEqual({ PATH: '/bin', BSM_STATE_DIR: '/s' })
})

it('replaces a helper on request, and that counts as a crash', async () => {
  const { supervisor, kinds } = supervise('', { restarts: 1 })
  await supervisor.start([])
  await supervisor.replace(new BsmError('TIMEOUT', 'helper', 'It was silent.'))
  await eventually(() => kinds().filter((kind) => kind === 'ready').length === 2)
  const replaced = supervisor.replace(new BsmError('TIMEOUT', 'helper', 'It was silent.'))
  expect(supervisor.state.kind, 'nothing more is asked of it').not.toBe('ready')
  await replaced
  expect(supervisor.state.kind).toBe('failed')
})
