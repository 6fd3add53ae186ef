import { execFileSync } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Control } from '../../client/index.ts'
import type { AppSnapshot } from '../../core/protocol/index.ts'
import { AppProcess, controlOf, helperOf } from '../support/app.ts'
import { DeadlineError, until, within } from '../support/deadline.ts'
import { orphans } from '../support/helper.ts'
import type { Which } from '../support/helper-binary.ts'
import { copyImage, type GuestImage } from '../support/image.ts'
import { byAge, identify, isAlive, isQemu, parentOf, type ProcessId } from '../support/processes.ts'
import { Scratch } from '../support/scratch.ts'
import { Broken, must } from '../gates/broken.ts'
import { isStopped } from './hittable.ts'
import { sentence } from './sentence.ts'
import { filesOf, programsOf, type Remains } from './remains.ts'

/** Milliseconds; each is far above what the slowest machine needs. */
const LISTEN_MS = 30_000
const REST_MS = 120_000
const EXIT_MS = 60_000
const SETTLE_MS = 20_000
const LOOK_EVERY_MS = 100
/** Room for a golden snapshot beside another, and for evidence. */
const STATE_SIZE = '400m'

export const canMount = process.platform === 'linux' && process.getuid?.() === 0

/** The app ended or refuses, and does not become ready by itself. */
export class NotReady extends Broken {}

/** One state directory, on a file system of its own, and the app that runs on it now, if any. */
export class World {
  readonly scratch = new Scratch('chaos')
  readonly which: Which
  readonly image: GuestImage
  /** What there is at rest in a world to which nothing was done. */
  unharmed: Remains | null = null
  /** What is over has ended and removed everything by then. */
  settleMs = SETTLE_MS
  readonly #env: Record<string, string>
  #app: AppProcess | null = null
  #control: Control | null = null
  #exit: number | null | undefined
  #isDisposed = false

  constructor(which: Which, image: GuestImage, env: Record<string, string> = {}) {
    this.which = which
    // Its own: the disk that a VM has open is cut too.
    this.image = copyImage(image, this.scratch.path('image'))
    this.#env = { BSM_HELPER: which, ...env }
    if (canMount) this.scratch.limitState(STATE_SIZE)
  }

  get app(): AppProcess {
    if (this.#app === null) throw new Error('no app runs in this world')
    return this.#app
  }

  get isRunning(): boolean {
    return this.#app !== null && this.#exit === undefined
  }

  /** Exit code of an app that ended (null by a signal), undefined while it runs. */
  get exit(): number | null | undefined {
    return this.#exit
  }

  /** Last lines of the app, for a person who wants to know what happened. */
  get lastWords(): string {
    return (this.#app?.output ?? '').trim().split('\n').slice(-12).join('\n')
  }

  get processes(): ProcessId[] {
    return this.isRunning ? this.app.processes : []
  }

  /** Processes of the VMs, the oldest first: at rest the working one's, then its standby's. */
  get vms(): ProcessId[] {
    const all = this.processes.filter(isQemu)
    // One that stands between ours and the real one is called the same.
    const parents = all.map(({ pid }) => parentOf(pid))
    return all.filter(({ pid }) => !parents.includes(pid)).sort(byAge)
  }

  get helper(): ProcessId | null {
    try {
      return helperOf(this.scratch)
    } catch {
      return null
    }
  }

  get appProcess(): ProcessId | null {
    return this.isRunning ? (identify(this.app.child.pid ?? 0) ?? null) : null
  }

  /** Names of the golden snapshots on disk. */
  get goldens(): string[] {
    return this.#golden().filter((name) => /^[0-9a-f]{64}$/.test(name))
  }

  /** Names of those that are being written now. */
  get making(): string[] {
    return this.#golden().filter((name) => name.startsWith('.making-'))
  }

  get isSaving(): boolean {
    return this.making.length > 0
  }

  #golden(): string[] {
    try {
      return readdirSync(join(this.scratch.stateDir, 'golden'))
    } catch {
      return []
    }
  }

  // -------------------------------------------------------------- life of the app

  /** Starts the app and waits for nothing. */
  async start(): Promise<void> {
    if (this.#isDisposed) throw new Error('this world was given up')
    if (this.isRunning) return
    await this.#hangUp()
    this.#exit = undefined
    const app = await AppProcess.start(this.scratch, this.image, { env: this.#env })
    this.#app = app
    void app.exited.then((code) => {
      if (this.#app === app) this.#exit = code
    })
    if (this.#isDisposed) await app.dispose()
  }

  async control(): Promise<Control> {
    this.#control ??= await until(LISTEN_MS, 'the app to listen', async () => {
      if (!this.isRunning) throw new NotReady(`the app ended with ${this.#exit}`)
      return controlOf(this.scratch).catch(() => null)
    })
    return this.#control
  }

  async #hangUp(): Promise<void> {
    const control = this.#control
    this.#control = null
    await control?.close().catch(() => undefined)
  }

  async ended(): Promise<void> {
    await within(EXIT_MS, 'the end of the app', this.app.exited)
    this.#exit ??= this.app.child.exitCode
    await this.#hangUp()
  }

  /** Ends the app in order, as a person would, and looks that nothing is left of it. */
  async stop(): Promise<void> {
    if (!this.isRunning) return
    this.app.child.kill('SIGTERM')
    await this.ended()
    must(this.#exit === 0, `the app ended with ${this.#exit} when it was told to end`)
    await this.nothingLeft()
    const left = this.scratch.appLeftovers()
    must(left.length === 0, `the app left behind: ${left.join(', ')}`)
  }

  /** Once the app has ended, however it did, nothing of it runs on. */
  async nothingLeft(): Promise<void> {
    const left = await orphans(this.scratch, 15_000)
    must(
      left.length === 0,
      `processes were left behind: ${left.map(({ pid, command }) => `${pid} ${command}`).join(', ')}`,
    )
  }

  /** Takes away every golden snapshot: the next boot is a cold one. */
  forgetGoldens(): void {
    for (const name of this.#golden())
      rmSync(join(this.scratch.stateDir, 'golden', name), { recursive: true, force: true })
  }

  // -------------------------------------------------------------- states

  /** Waits for a state that lasts, and gives it: the app ended, or says ready, degraded, failed or stopped. */
  async settled(ms: number): Promise<AppSnapshot | 'ended'> {
    let last = 'it did not answer'
    return await until(
      ms,
      'a clear state',
      async () => {
        const snapshot = await this.#look()
        if (snapshot === 'ended') return snapshot
        last = snapshot === null ? last : `${snapshot.state}: ${snapshot.message}`
        return snapshot !== null && ['ready', 'degraded', 'failed', 'stopped'].includes(snapshot.state)
          ? snapshot
          : null
      },
      LOOK_EVERY_MS,
    ).catch((error: unknown) => {
      throw error instanceof DeadlineError ? new Broken(`no clear state within ${ms} ms; ${last}`) : error
    })
  }

  /** Ready, with a standby, and nothing that stirs or stands still. Throws {@link NotReady} when it will not come. */
  async rest(ms = REST_MS): Promise<AppSnapshot> {
    let last = 'it did not answer'
    return await until(
      ms,
      'ready with a standby',
      async () => {
        const now = await this.#look()
        if (now === 'ended') throw new NotReady(`the app ended with ${this.#exit}`)
        if (now === null) return null
        last = `${now.state}: ${now.message} Standby ${now.helper?.standby.state}; ${programsOf(this.processes).join(', ')}`
        if (['failed', 'stopped', 'degraded'].includes(now.state))
          throw new NotReady(`${now.state}: ${now.message}`)
        return this.#isAtRest(now) ? now : null
      },
      LOOK_EVERY_MS,
    ).catch((error: unknown) => {
      throw error instanceof DeadlineError ? new Broken(`not ready within ${ms} ms; ${last}`) : error
    })
  }

  #isAtRest({ state, helper }: AppSnapshot): boolean {
    if (state !== 'ready' || helper?.vmm_api_state !== 'running' || helper.standby.state !== 'ready')
      return false
    const supervised = this.helper
    if (supervised === null || !isAlive(supervised)) return false
    return !this.processes.some(isStopped) && (process.platform !== 'linux' || this.vms.length === 2)
  }

  /** The snapshot now; null from an app that cannot be asked at this moment. */
  async #look(): Promise<AppSnapshot | 'ended' | null> {
    if (!this.isRunning) {
      await this.ended()
      return 'ended'
    }
    const snapshot = await this.control()
      .then((control) => control.status())
      .catch(() => null)
    if (snapshot === null && this.isRunning) await this.#hangUp()
    if (snapshot !== null) sentence(snapshot.message, `the message of state ${snapshot.state}`)
    return snapshot
  }

  // -------------------------------------------------------------- beginning and end

  /** Boots, dispatches once, and remembers what there is then. */
  async begin(): Promise<void> {
    await this.start()
    await this.rest()
    const control = await this.control()
    await control.exec('echo', { text: 'first' })
    await this.rest()
    await this.kept()
    this.unharmed = { programs: programsOf(this.processes), files: filesOf(this.scratch) }
  }

  /** Waits until a golden snapshot lies on disk. */
  async kept(): Promise<void> {
    await until(REST_MS, 'a golden snapshot on disk', () => this.goldens.length > 0 && !this.isSaving)
  }

  /** Ends everything of it, whatever state it is in. */
  async dispose(): Promise<void> {
    this.#isDisposed = true
    await this.#hangUp()
    if (this.isRunning) this.app.child.kill('SIGKILL')
    await this.#app?.dispose()
    this.unbind()
    this.scratch.remove()
  }

  /** New files cannot be made in the state directory any more, nor old ones changed by name. */
  bindReadOnly(): void {
    const { stateDir } = this.scratch
    execFileSync('mount', ['--bind', stateDir, stateDir])
    this.#isBound = true
    execFileSync('mount', ['-o', 'remount,ro,bind', stateDir])
  }

  #isBound = false
  unbind(): void {
    if (this.#isBound) execFileSync('umount', ['-l', this.scratch.stateDir])
    this.#isBound = false
  }

  /** Bytes that the state directory's file system holds at most. */
  resize(size: string): void {
    execFileSync('mount', ['-o', `remount,size=${size}`, this.scratch.stateDir], { stdio: 'pipe' })
  }

  widen(): void {
    this.resize(STATE_SIZE)
  }
}
