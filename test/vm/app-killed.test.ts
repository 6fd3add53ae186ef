import { readFileSync, readdirSync } from 'node:fs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Control } from '../../client/index.ts'
import { AppProcess, helperOf, whenApp } from '../support/app.ts'
import { until } from '../support/deadline.ts'
import { freshImage, type GuestImage } from '../support/image.ts'
import { commandLine, connectedWith, gone, isAlive } from '../support/processes.ts'
import { Scratch } from '../support/scratch.ts'
import { VM_TEST_MS } from './bench.ts'

/** `kill -9` of the app, and of what runs below it: no orphan, a sentence, a working VM again. */
describe('kill -9 of the app and below it', () => {
  let image: GuestImage
  let scratch: Scratch
  const apps: AppProcess[] = []
  const controls: Control[] = []

  beforeAll(async () => {
    image = await freshImage()
  })
  beforeEach(() => {
    scratch = new Scratch('app')
  })
  afterEach(async () => {
    for (const control of controls.splice(0)) await control[Symbol.asyncDispose]()
    for (const app of apps.splice(0)) await app.dispose()
    scratch.remove()
  })

  async function start(): Promise<AppProcess> {
    const app = await AppProcess.start(scratch, image)
    apps.push(app)
    return app
  }
  async function connect(app: AppProcess): Promise<Control> {
    const control = await app.control()
    controls.push(control)
    return control
  }
  async function works(control: Control): Promise<void> {
    const response = await control.exec('echo', { text: 'works' })
    expect(response.stdout.trimEnd()).toBe('works')
    expect(response.sandbox_reset_state?.verification_passed).toBe(true)
  }
  it(
    'of the helper under an app whose terminal is gone: it goes on, and SIGTERM ends it in order',
    async () => {
      const app = await (await start()).ready()
      const control = await connect(app)
      app.child.stdout?.destroy()
      app.child.stderr?.destroy()
      process.kill(helperOf(scratch).pid, 'SIGKILL')
      await whenApp(
        control,
        'ready again',
        ({ state, last_crash }) => state === 'ready' && last_crash !== null,
      )
      await works(control)
      await app.kill('SIGTERM')
      expect(app.child.exitCode).toBe(0)
      expect(scratch.list().filter(({ kind }) => kind === 'socket')).toEqual([])
    },
    VM_TEST_MS,
  )

  it(
    'of the app, idle: everything below it ends, and the next app starts on its place',
    async () => {
      const app = await (await start()).ready()
      const processes = app.processes
      expect(processes.length).toBeGreaterThanOrEqual(4)
      await app.kill('SIGKILL')
      await gone(processes)
      expect(connectedWith(scratch.marker, scratch.root)).toEqual([])

      const next = await (await start()).ready()
      const control = await connect(next)
      await works(control)
      const logs = readdirSync(scratch.path('state', 'logs'))
      const said = logs.map((name) => readFileSync(scratch.path('state', 'logs', name), 'utf8')).join('')
      expect(said).toMatch(/ended without stopping in order/)
      expect((await control.verifyAudit()).ok).toBe(true)
    },
    VM_TEST_MS,
  )

  it(
    'of the app while it boots',
    async () => {
      const app = await start()
      await until(30_000, 'a VM', () => app.processes.some(({ pid }) => /qemu-system/.test(commandLine(pid))))
      const processes = app.processes
      await app.kill('SIGKILL')
      await gone(processes)
      await works(await connect(await (await start()).ready()))
    },
    VM_TEST_MS,
  )

  it(
    'of the app during a dispatch',
    async () => {
      const app = await (await start()).ready()
      const control = await connect(app)
      const run = control.exec('sh', { command: 'sleep 60' })
      run.catch(() => undefined)
      await whenApp(control, 'the dispatch', ({ state }) => state === 'dispatching')
      const processes = app.processes
      await app.kill('SIGKILL')
      await gone(processes)
      await expect(run).rejects.toThrow(/\w+ \w+/)
      const next = await (await start()).ready()
      const again = await connect(next)
      await works(again)
      expect((await again.verifyAudit()).finding).toMatch(/none|torn_tail/)
    },
    VM_TEST_MS,
  )

  it(
    'of its helper, idle: the app starts another and says so',
    async () => {
      const app = await (await start()).ready()
      const control = await connect(app)
      await works(control)
      const processes = app.processes.filter(({ pid }) => pid !== app.child.pid)
      process.kill(helperOf(scratch).pid, 'SIGKILL')
      const snapshot = await whenApp(
        control,
        'a VM again',
        ({ state, helper_restarts }) => state === 'ready' && helper_restarts === 1,
      )
      expect(snapshot.last_crash).toMatch(/\w+ \w+/)
      await gone(processes)
      await works(control)
    },
    VM_TEST_MS,
  )

  it(
    'of its helper during a dispatch: the agent is told, the next one works',
    async () => {
      const app = await (await start()).ready()
      const control = await connect(app)
      const run = control.exec('sh', { command: 'sleep 60' }).then(
        (response) => response.error,
        (error: unknown) => error as { code: string; message: string },
      )
      await whenApp(control, 'the dispatch', ({ state }) => state === 'dispatching')
      process.kill(helperOf(scratch).pid, 'SIGKILL')
      const error = await run
      expect(error?.code).toMatch(/VM_LIFECYCLE_ERROR|GUEST_UNREACHABLE/)
      expect(error?.message).toMatch(/\w+ \w+/)
      await whenApp(control, 'a VM again', ({ state }) => state === 'ready')
      await works(control)
    },
    VM_TEST_MS,
  )

  it(
    'of its VM, idle: the app brings up another by itself',
    async () => {
      const app = await (await start()).ready()
      const control = await connect(app)
      await works(control)
      const id = (await control.status()).helper?.vm_id ?? ''
      const vm = app.processes.find(({ pid }) => new RegExp(`\\b${pid}\\b`).test(id))
      if (!vm) throw new Error(`no process for ${id}`)
      process.kill(vm.pid, 'SIGKILL')
      await gone([vm])
      await whenApp(
        control,
        'another VM',
        ({ state, helper }) =>
          state === 'ready' && helper?.vm_id !== id && helper?.vmm_api_state === 'running',
      )
      await works(control)
    },
    VM_TEST_MS,
  )

  it(
    'of its VM during a dispatch: the agent is told, the next one works',
    async () => {
      const app = await (await start()).ready()
      const control = await connect(app)
      const run = control.exec('sh', { command: 'sleep 60' }).then(
        (response) => response.error,
        (error: unknown) => error as { code: string; message: string },
      )
      const { helper } = await whenApp(
        control,
        'the dispatch',
        (s) => s.state === 'dispatching' && s.helper !== null,
      )
      const id = helper?.vm_id ?? ''
      for (const { pid } of app.processes)
        if (/qemu-system/.test(commandLine(pid)) && new RegExp(`\\b${pid}\\b`).test(id))
          process.kill(pid, 'SIGKILL')
      const error = await run
      expect(error?.message).toMatch(/\w+ \w+/)
      await works(control)
    },
    VM_TEST_MS,
  )

  it(
    'Ctrl-C leaves no process, socket or temporary file',
    async () => {
      const app = await (await start()).ready()
      const control = await connect(app)
      await works(control)
      const processes = app.processes
      app.child.kill('SIGINT')
      expect(await app.ended()).toBe(0)
      await gone(processes)
      expect(processes.filter(isAlive)).toEqual([])
      const left = scratch.list().filter(({ kind }) => kind === 'socket' || kind === 'other')
      expect(left).toEqual([])
      expect(scratch.list(scratch.tempDir)).toEqual([])
    },
    VM_TEST_MS,
  )
})
