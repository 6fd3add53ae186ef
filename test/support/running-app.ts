import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Control, Sandbox } from '../../client/index.ts'
import type { AppSnapshot } from '../../core/protocol/index.ts'
import { within } from './deadline.ts'
import { repository } from './image.ts'
import { tree } from './processes.ts'
import type { Scratch } from './scratch.ts'

const DEADLINE_MS = 180_000

/** The app as `npm start` runs it, in a scratch world of its own. */
export class RunningApp {
  readonly url: string
  readonly #child: ChildProcess
  readonly #scratch: Scratch

  private constructor(child: ChildProcess, scratch: Scratch, url: string) {
    this.#child = child
    this.#scratch = scratch
    this.url = url
  }

  /** `npm start`, up to the line with the page's address. */
  static start(scratch: Scratch): Promise<RunningApp> {
    return RunningApp.#run(scratch, ['build/bootstrap.mjs', 'start'])
  }

  /** `bsm up`: the same without the set-up, which a test run has behind it. */
  static up(scratch: Scratch, ...args: string[]): Promise<RunningApp> {
    return RunningApp.#run(scratch, ['dist/bsm.mjs', 'up', ...args])
  }

  static async #run(scratch: Scratch, [program = '', ...args]: string[]): Promise<RunningApp> {
    const child = spawn(process.execPath, [join(repository, program), ...args], {
      cwd: repository,
      env: scratch.environment({ DISPLAY: '' }),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    const url = new Promise<string>((resolve, reject) => {
      const take = (chunk: Buffer) => {
        output += chunk.toString()
        const match = /http:\/\/127\.0\.0\.1:\d+\S*/.exec(output)
        if (match) resolve(match[0])
      }
      child.stdout.on('data', take)
      child.stderr.on('data', take)
      child.on('exit', () => reject(new Error(`the app ended:\n${output}`)))
    })
    return new RunningApp(child, scratch, await within(DEADLINE_MS, 'the address of the page', url))
  }

  async control(): Promise<Control> {
    return Control.connect({
      token: readFileSync(join(this.#scratch.stateDir, 'control.token'), 'utf8').trim(),
      client: 'cli',
      socketPath: join(this.#scratch.stateDir, 'control.sock'),
    })
  }

  /** A connection as an agent has it. */
  async agent(name: string): Promise<Sandbox> {
    await using control = await this.control()
    const token = await control.addClient(name)
    if (token === undefined) throw new Error(`the app gave no token for ${name}`)
    return Sandbox.connect({ token, client: name, socketPath: join(this.#scratch.stateDir, 'agent.sock') })
  }

  get processes(): number[] {
    return tree(this.#child.pid ?? 0).map(({ pid }) => pid)
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()))
    this.#child.kill('SIGINT')
    await within(DEADLINE_MS, 'the end of the app', gone)
  }
}

/** Waits, without asking again and again, until the app shows a state. */
export async function whenApp(
  control: Control,
  what: string,
  matches: (snapshot: AppSnapshot) => boolean,
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
    return await within(DEADLINE_MS, what, found)
  } finally {
    stop()
  }
}

export const standbyReady = (control: Control): Promise<AppSnapshot> =>
  whenApp(control, 'a standby', (s) => s.state === 'ready' && s.helper?.standby.state === 'ready')

/** CPU seconds (user and system) that these processes have used. */
export function cpuSeconds(pids: readonly number[]): number {
  const ticksPerSecond = 100
  return pids.reduce((sum, pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return sum + (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
    } catch {
      return sum // ended meanwhile
    }
  }, 0)
}

/** Proportional resident memory of these processes: what they share is counted once. */
export function residentMib(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    try {
      const kib = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1]
      return sum + Number(kib ?? 0) / 1024
    } catch {
      return sum
    }
  }, 0)
}
