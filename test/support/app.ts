import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildCli, buildHelper, buildLauncher, buildUi } from '../../build/bundle.ts'
import { Control } from '../../client/index.ts'
import type { AppSnapshot } from '../../core/protocol/index.ts'
import { within } from './deadline.ts'
import { killOrphans } from './helper.ts'
import { repository, type GuestImage } from './image.ts'
import { gone, identify, tree, type ProcessId } from './processes.ts'
import type { Scratch } from './scratch.ts'

const BOOT_MS = 90_000
const EXIT_MS = 30_000
const KEPT = 64 * 1024

type ReadyOrNot = { code: number | null } | { ready: unknown }

/** The app as people run it headless: `bsm up` in a process of its own, in a scratch world. */
export class AppProcess {
  readonly scratch: Scratch
  readonly child: ChildProcess
  readonly exited: Promise<number | null>
  readonly #ready: Promise<ReadyOrNot>
  output = ''

  private constructor(scratch: Scratch, args: string[], env: Record<string, string>) {
    this.scratch = scratch
    this.child = spawn(process.execPath, [join(repository, 'dist/bsm.mjs'), 'up', '--json', ...args], {
      cwd: scratch.home,
      env: scratch.environment(env),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.exited = new Promise((resolve) => this.child.once('close', (code) => resolve(code)))
    this.#ready = new Promise((resolve) => {
      let stdout = ''
      this.child.stdout?.on('data', (chunk: Buffer) => {
        stdout += chunk.toString('utf8')
        this.output = (this.output + chunk.toString('utf8')).slice(-KEPT)
        const end = stdout.indexOf('\n')
        if (end !== -1) resolve({ ready: JSON.parse(stdout.slice(0, end)) as unknown })
      })
      void this.exited.then((code) => resolve({ code }))
    })
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.output = (this.output + chunk.toString('utf8')).slice(-KEPT)
    })
  }

  static async start(
    scratch: Scratch,
    image: GuestImage,
    options: { args?: string[]; env?: Record<string, string>; ui?: boolean } = {},
  ): Promise<AppProcess> {
    await Promise.all([buildLauncher(), buildHelper(), buildCli(), options.ui === true && buildUi()])
    const args = ['--image', `${image.dir}/`, '--cpus', '1', '--memory-mib', '256', ...(options.args ?? [])]
    return new AppProcess(scratch, options.ui === true ? args : ['--no-ui', ...args], options.env ?? {})
  }

  /** Waits for the line that says that it can be used. */
  async ready(): Promise<this> {
    const outcome = await within(BOOT_MS, `the app to be ready:\n${this.output}`, this.#ready)
    if ('code' in outcome) throw new Error(`the app ended with ${outcome.code}:\n${this.output}`)
    if (typeof outcome.ready === 'object' && outcome.ready !== null && 'error' in outcome.ready)
      throw new Error(`the app could not start:\n${this.output}`)
    return this
  }

  /** Its exit code, whether it was told to end or could not start. */
  async ended(): Promise<number | null> {
    return await within(BOOT_MS, 'the end of the app', this.exited)
  }

  control(): Promise<Control> {
    return controlOf(this.scratch)
  }

  get processes(): ProcessId[] {
    return tree(this.child.pid ?? 0)
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    const processes = this.processes
    this.child.kill(signal)
    await within(EXIT_MS, `the end of the app after ${signal}`, this.exited)
    await gone(processes)
  }

  /** Ends it and everything of it, whatever state it is in; what it left running is killed and named. */
  async dispose(): Promise<string[]> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGTERM')
      await within(EXIT_MS, 'the end of the app', this.exited).catch(() => this.child.kill('SIGKILL'))
      await this.exited
    }
    return await killOrphans(this.scratch)
  }
}

/** A person's connection to the app of a scratch world. */
export function controlOf(scratch: Scratch): Promise<Control> {
  return Control.connect({
    token: readFileSync(join(scratch.stateDir, 'control.token'), 'utf8').trim(),
    client: 'cli',
    socketPath: join(scratch.stateDir, 'control.sock'),
  })
}

/** The helper that the app of a scratch world runs now, as the app recorded it. Throws when it runs none. */
export function helperOf(scratch: Scratch): ProcessId {
  const recorded = readFileSync(join(scratch.stateDir, 'supervised-helper.json'), 'utf8')
  const helper = identify((JSON.parse(recorded) as { pid: number }).pid)
  if (helper === undefined) throw new Error('the helper that the app recorded is gone')
  return helper
}

/** Waits until the app is ready and has a standby, which is when nothing stirs by itself any more. */
export const standbyReady = (control: Control): Promise<AppSnapshot> =>
  whenApp(control, 'a standby', (s) => s.state === 'ready' && s.helper?.standby.state === 'ready')

/** Waits until the app shows what is looked for. */
export async function whenApp(
  control: Control,
  what: string,
  matches: (snapshot: AppSnapshot) => boolean,
  ms = BOOT_MS,
): Promise<AppSnapshot> {
  let seen: (snapshot: AppSnapshot) => void = () => undefined
  const found = new Promise<AppSnapshot>((resolve) => {
    seen = (snapshot) => {
      if (matches(snapshot)) resolve(snapshot)
    }
  })
  const stop = await control.subscribe((event) => {
    if (event.event === 'state_changed') seen(event.snapshot)
  })
  try {
    seen(await control.status())
    return await within(ms, what, found)
  } finally {
    stop()
  }
}
