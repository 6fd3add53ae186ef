import { EventEmitter } from 'node:events'
import { availableParallelism, totalmem } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { AuditLog, headPathOf } from './audit/index.ts'
import { ClientStore } from './clients.ts'
import { systemClock, type Clock } from './clock.ts'
import { DegradedStore, missingRecord } from './degraded.ts'
import { diagnose, makeBundle, thisMachine, type Machine } from './diagnostics/index.ts'
import { Dispatcher, type ExecAnswer, type VerifyAnswer } from './dispatcher.ts'
import { EvidenceStore } from './evidence/index.ts'
import { fileError } from './files.ts'
import {
  helperEnvironment,
  HelperIdentityFile,
  HelperSupervisor,
  type RestartLimits,
  type StopLadder,
  type SupervisorState,
} from './helper/index.ts'
import { listImages, loadImage, type GuestImage } from './image.ts'
import { acquireInstanceLock, type InstanceLock } from './instance-lock.ts'
import { loadOrCreateKey } from './keys.ts'
import { LocalSockets } from './local-sockets/index.ts'
import { ConsoleLog, createLogger, type Logger } from './log.ts'
import { LogBudget } from './log-budget.ts'
import { readLog, type LogQuery } from './logs/index.ts'
import { ensurePaths, type Paths } from './paths.ts'
import {
  BsmError,
  SandboxResetDivergenceError,
  type AppSnapshot,
  type AuditVerdict,
  type BootResult,
  type Bundle,
  type Degraded,
  type Diagnosis,
  type EvidenceVerdict,
  type ExecOutputEvent,
  type HelperEvent,
  type HelperStatus,
  type LogPage,
  type LogSource,
  type QueryKind,
  type QueryResponse,
  type ResetReport,
  type Settings,
  type SettingsPatch,
  type SettingsView,
  type ToolCall,
} from './protocol/index.ts'
import { DispatchQueue } from './queue.ts'
import { QueryLine } from './query-line.ts'
import { Revival } from './revival.ts'
import { HelperSandbox, type BootConfig, type SandboxDeadlines } from './sandbox.ts'
import { defaultSettings, SettingsStore } from './settings.ts'
import { Sleep, type SleepPhase } from './sleep.ts'
import { standing, StateStore, type Activity } from './state.ts'

export interface AppOptions {
  readonly version: string
  readonly paths: Paths
  /** Directory of the guest images, one folder a recipe. */
  readonly imageDir: string
  /** The helper's program and what stands before `boot` on its command line. */
  readonly helper: {
    readonly command: string
    readonly args: readonly string[]
    readonly env?: Readonly<Record<string, string>>
  }
  /** Stand above `settings.json` for this run and are not kept. */
  readonly settings?: Partial<Settings>
  /** Where people read progress; nothing is printed without it. */
  readonly people?: { write(text: string): unknown }
  /** Where the programs and sources lie; absent from an app that was installed without them. */
  readonly projectRoot?: string
  /** False leaves the VM stopped until someone asks for it. */
  readonly autoStart?: boolean
  readonly clock?: Clock
  readonly restartLimits?: RestartLimits
  readonly stopLadder?: StopLadder
  readonly deadlines?: SandboxDeadlines
  readonly bootMs?: number
  /** Milliseconds between two looks at the helper, while anyone hears snapshots and while nobody does. */
  readonly lookEveryMs?: { readonly watched: number; readonly unwatched: number }
  /** Asked before every start of the helper whether it and the image of `recipe` may be used; rejects with why not. */
  readonly admit?: (recipe: string) => Promise<void>
}

export type OutputListener = (event: ExecOutputEvent, client: string) => void

/** The status of a VM is asked for this often: to show it, and to find a helper that stands still before a dispatch does. */
const LOOK_EVERY_MS = { watched: 5_000, unwatched: 30_000 }
/** In a row, after which a helper is replaced. */
const UNANSWERED = 2
const LAST_ANSWER_MS = 2_000
/** Nobody who asks for the status waits longer for a helper. */
const STATUS_WAIT_MS = 500

/**
 * The engine: one app per state directory, one VM, one dispatch at a time, one state.
 *
 * `start` returns as soon as the app can be talked to; the VM comes up behind it.
 */
export class App {
  readonly #options: AppOptions
  readonly #clock: Clock
  readonly #store: StateStore
  readonly #queue: DispatchQueue
  readonly #supervisor: HelperSupervisor
  readonly #sandbox: HelperSandbox
  readonly #degradedStore: DegradedStore
  readonly #identity: HelperIdentityFile
  readonly #output = new EventEmitter<{ output: Parameters<OutputListener> }>()
  readonly #logs = new EventEmitter<{ grew: [LogSource] }>()
  readonly #revival: Revival
  readonly #sleep: Sleep
  readonly #queries = new QueryLine()
  readonly #helperBudget: LogBudget
  readonly #stopped: Promise<void>
  #markStopped: () => void = () => undefined
  #running: Running | null = null
  #degraded: Degraded | null = null
  #problem: BsmError | null = null
  /** Set from the wish for a VM to the wish for none, or to its failure: what it was, or will be, booted with. */
  #rising: Rising | null = null
  #activity: Activity = { kind: 'idle' }
  #ending: Promise<void> | null = null
  #swept: Promise<void> = Promise.resolve()
  #watchers = 0
  #looks: NodeJS.Timeout | undefined
  #status: Promise<void> | null = null
  /** Statuses in a row that the helper did not answer. */
  #unanswered = 0
  #ui: { mintUrl: () => string; close: () => Promise<void> } | null = null

  constructor(options: AppOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#helperBudget = new LogBudget(this.#clock)
    this.#store = new StateStore(options.version, this.#clock, (error) => this.#listenerFailed(error))
    this.#queue = new DispatchQueue({}, () => this.#queueChanged())
    this.#degradedStore = new DegradedStore(options.paths.degraded)
    this.#identity = new HelperIdentityFile(options.paths.helperIdentity)
    this.#supervisor = new HelperSupervisor({
      command: options.helper.command,
      args: options.helper.args,
      env: helperEnvironment(process.env, {
        BSM_STATE_DIR: options.paths.stateDir,
        BSM_CONFIG_DIR: options.paths.configDir,
        ...options.helper.env,
      }),
      cwd: '/',
      identity: this.#identity,
      onState: (state) => this.#supervisorChanged(state),
      onEvent: (event) => this.#helperSaid(event),
      onLog: (line) => this.#helperLog('debug', line),
      limits: options.restartLimits,
      ladder: options.stopLadder,
      bootMs: options.bootMs,
      admit: this.#admission(options.admit),
    })
    this.#sandbox = new HelperSandbox(this.#supervisor, options.deadlines)
    this.#revival = new Revival({
      idle: () => this.#isIdle,
      reset: async (why) => void (await this.#live.dispatcher.reset('app', why)),
      replaceHelper: (why) => void this.#supervisor.replace(why),
      clock: this.#clock,
    })
    this.#sleep = new Sleep({
      running: () =>
        this.#supervisor.state.kind === 'ready' && this.#degraded === null && this.#ending === null,
      probe: async () => void (await this.#sandbox.status()),
      settled: () => this.#queue.settled,
      renew: (why) =>
        this.#live.dispatcher
          .renew(why)
          .catch((error: unknown) => this.#logger.error(BsmError.from(error, 'app').message)),
      replaceHelper: (why) => this.#supervisor.replace(why),
      onChange: (phase) => this.#sleepChanged(phase),
    })
    this.#stopped = new Promise((resolve) => (this.#markStopped = resolve))
  }

  get #isIdle(): boolean {
    return !this.#queue.running && this.#refusal() === null && this.#sleep.phase === 'awake'
  }

  #admission(admit: AppOptions['admit']): (() => Promise<void>) | undefined {
    if (admit === undefined) return undefined
    return () => admit((this.#rising?.settings ?? this.#live.settings.current).image)
  }

  // -------------------------------------------------------------- life

  /** Takes the state directory, opens the sockets, and begins to boot the VM. Throws a sentence. */
  async start(): Promise<void> {
    const { paths } = this.#options
    ensurePaths(paths)
    const lock = acquireInstanceLock(paths.lock)
    const undo: (() => void)[] = [() => lock.release()]
    try {
      const { logger, consoleLog } = openLogs(paths.logsDir, this.#options.people, (source) =>
        this.#logs.emit('grew', source),
      )
      undo.push(() => consoleLog.close())
      const settings = new SettingsStore(paths.settings, defaultSettings(), this.#options.settings)
      const clients = new ClientStore(paths.clients, this.#clock)
      const audit = AuditLog.open({
        logPath: paths.auditLog,
        headPath: headPathOf(paths),
        key: loadOrCreateKey(paths.auditKey),
        now: () => this.#clock.now(),
        onAppend: () => this.#logs.emit('grew', 'audit'),
      })
      undo.push(() => audit.close())
      if (audit.finding !== null) logger.warn(audit.finding)
      audit.append('app_started', { version: this.#options.version, pid: process.pid })
      for (const { command_id, client, tool } of audit.unfinished) {
        audit.append('dispatch_interrupted', {
          command_id: String(command_id),
          client: String(client),
          tool: String(tool),
        })
        logger.warn(`The dispatch ${String(command_id)} was cut off when the app before this one ended.`)
      }
      const evidence = new EvidenceStore(paths.evidenceDir)
      await evidence.load()
      this.#degraded = await this.#loadDegraded(audit, logger)
      this.#degradedStore.arm(this.#clock.now())
      const dispatcher = this.#makeDispatcher(audit, evidence, logger)
      const sockets = new LocalSockets(this, { paths, clients, logger })
      this.#running = { lock, logger, consoleLog, settings, clients, audit, evidence, dispatcher, sockets }
      undo.push(() => (this.#running = null))
      await sockets.open()
    } catch (error) {
      for (const step of undo.reverse()) step()
      throw error
    }
    const { settings, clients, evidence } = this.#live
    this.#store.update({ first_run: evidence.empty && clients.list().length === 0 })
    this.#showTargets(settings.current)
    this.#refresh()
    this.#lookRegularly()
    this.#swept = this.#sweep()
    if (this.#options.autoStart !== false && this.#degraded === null)
      this.up().catch((error: unknown) => this.#logger.error(BsmError.from(error, 'app').message))
  }

  /** The record on disk and the audit log must tell the same: whoever deletes the one does not heal the sandbox. */
  async #loadDegraded(audit: AuditLog, logger: Logger): Promise<Degraded | null> {
    const now = this.#clock.now()
    const found = this.#degradedStore.load(now)
    const audited = await audit.isDegraded()
    if (found === null && !audited) return null
    const degraded = found ?? missingRecord(now)
    if (found === null) {
      logger.error(degraded.message)
      this.#degradedStore.enter(degraded)
    }
    if (!audited)
      audit.append('degraded', { code: degraded.code, sources: degraded.sources, message: 'Found at start.' })
    return degraded
  }

  #makeDispatcher(audit: AuditLog, evidence: EvidenceStore, logger: Logger): Dispatcher {
    return new Dispatcher({
      sandbox: this.#sandbox,
      queue: this.#queue,
      audit,
      evidence,
      store: this.#store,
      clock: this.#clock,
      logger,
      refusal: () => this.#refusal(),
      onActivity: (activity) => this.#enter(activity),
      degrade: (error) => this.#degrade(error),
      replaceHelper: (why) => void this.#supervisor.replace(why),
    })
  }

  /** Ends what a crashed app left running; known by its recorded identity, reported, never by name. */
  async #sweep(): Promise<void> {
    const { lock } = this.#live
    const found = await this.#identity
      .endLeftover()
      .catch((error: unknown) => BsmError.from(error, 'app').message)
    if (lock.takenFrom !== null)
      this.#logger.warn(
        `The app before this one (process ${lock.takenFrom.pid}) ended without stopping in order.`,
      )
    if (found === null) return
    this.#logger.warn(found)
    this.#audit('leftover_ended', { message: found })
    this.#store.update({ last_crash: found })
  }

  /** Stops the VM and everything that `start` opened; idempotent, and safe to call at any time. */
  stop(): Promise<void> {
    this.#ending ??= this.#end()
    return this.#ending
  }

  async #end(): Promise<void> {
    const running = this.#running
    if (running !== null) {
      this.#refresh()
      await this.#halt()
      // Its answer and its audit entry still belong to this run; the VM is gone, so it cannot take long.
      await Promise.race([this.#queue.settled, sleep(LAST_ANSWER_MS, undefined, { ref: false })])
      await Promise.all([running.sockets.close(), this.#ui?.close()])
      try {
        running.audit.append('app_stopped')
      } catch (error) {
        running.logger.error(BsmError.from(error, 'app').message)
      }
      try {
        running.lock.release()
      } catch (error) {
        // The next start finds that its owner is gone.
        running.logger.error(fileError(error, 'remove the lock').message)
      }
      running.audit.close()
      running.consoleLog.close()
      this.#store.close()
      clearInterval(this.#looks)
      this.#running = null
    }
    this.#markStopped()
  }

  /** Resolves when the app has stopped, whoever asked for it. */
  get whenStopped(): Promise<void> {
    return this.#stopped
  }

  /**
   * Starts the VM, unless one runs or starts already, whatever the settings are by now. Resolves when it can be
   * dispatched to; rejects with why it cannot, DEGRADED included.
   */
  async up(): Promise<void> {
    if (this.#ending !== null) throw notRunning('The app is stopping.')
    if (this.#degraded !== null) throw degradedError(this.#degraded)
    if (this.#supervisor.state.kind === 'ready') return
    this.#problem = null
    const rising = (this.#rising ??= { settings: this.#live.settings.current, image: null })
    this.#refresh()
    try {
      await this.#swept
      if (this.#rising !== rising)
        throw new BsmError('CANCELLED', 'app', 'The VM was stopped before it was ready.')
      rising.image ??= loadImage(this.#options.imageDir, rising.settings.image)
      await this.#sandbox.boot(this.#bootConfig(rising.settings, rising.image))
    } catch (error) {
      const why = BsmError.from(error, 'app')
      if (this.#rising === rising && why.code !== 'CANCELLED') this.#cannotBoot(why)
      throw why
    }
  }

  /** What cannot even be tried: there is no helper to say so. */
  #cannotBoot(why: BsmError): void {
    this.#problem = why
    this.#rising = null
    this.#logger.error(why.message)
    this.#queue.refuseAll(why)
    this.#refresh()
  }

  #bootConfig(settings: Settings, image: GuestImage): BootConfig {
    return {
      kernel: image.kernel,
      rootfs: image.rootfs,
      initrd: image.initrd,
      cmdline: image.manifest.cmdline,
      cpus: settings.cpus,
      memoryMib: settings.memory_mib,
      stateDir: this.#options.paths.stateDir,
      rootfsDigest: image.manifest.rootfs.digest,
    }
  }

  /** Stops the VM; the app goes on. What runs is cancelled, what waits is refused. Idempotent. */
  async down(): Promise<void> {
    await this.#halt()
    this.#refresh()
  }

  async #halt(): Promise<void> {
    this.#rising = null
    this.#queue.close()
    this.#queue.refuseAll(notRunning('The VM was stopped.'))
    this.#queue.abortRunning(cutOff())
    await this.#sandbox.shutdown()
  }

  /** The machine is about to sleep: nothing is dispatched until it woke. What runs goes on, and is wiped as ever. */
  machineSleeps(): void {
    this.#sleep.begin()
  }

  /** The machine woke: the helper is probed and the VM replaced before anything is dispatched. Never rejects. */
  machineWoke(): Promise<void> {
    return this.#sleep.end()
  }

  #sleepChanged(phase: SleepPhase): void {
    if (phase === 'awake') this.#openQueue()
    else this.#queue.close()
    if (phase === 'asleep') this.#logger.info('The machine goes to sleep.')
    if (phase === 'probing') this.#logger.info('The machine woke up.')
    this.#refresh()
    if (phase === 'awake') void this.#refreshStatus()
  }

  #openQueue(): void {
    if (this.#supervisor.state.kind !== 'ready' || this.#sleep.phase !== 'awake') return
    if (this.#degraded === null && this.#ending === null) this.#queue.open()
  }

  // -------------------------------------------------------------- dispatches

  /** Never rejects: an error is part of the answer (protocol §5). Output goes to `onOutput` as it comes. */
  async exec(
    client: string,
    call: ToolCall,
    options: { readonly onOutput?: (event: ExecOutputEvent) => void; readonly signal?: AbortSignal } = {},
  ): Promise<ExecAnswer> {
    const { onOutput, signal } = options
    const forward: OutputListener = (event) => {
      if (event.command_id === call.command_id) onOutput?.(event)
    }
    if (onOutput !== undefined) this.#output.on('output', forward)
    try {
      return await this.#live.dispatcher.exec(client, call, signal)
    } finally {
      this.#output.off('output', forward)
      void this.#refreshStatus()
    }
  }

  /** Rejects with DEGRADED when degraded, and when there is no report. */
  async reset(client: string, signal?: AbortSignal): Promise<ResetReport> {
    try {
      return await this.#live.dispatcher.reset(client, undefined, signal)
    } finally {
      void this.#refreshStatus()
    }
  }

  /** Looks at the three sources of the running VM; a contradiction degrades. */
  verify(client: string, signal?: AbortSignal): Promise<VerifyAnswer> {
    return this.#live.dispatcher.verify(client, signal)
  }

  /** Asks the guest, in turn. BUSY until another client's VM is wiped: its processes are not for others to see. */
  async query(client: string, kind: QueryKind, person = false): Promise<QueryResponse> {
    return this.#queries.ask(client, async () => {
      this.#refuseQuery(client, person)
      const answer = await this.#sandbox.query(kind)
      // Another's dispatch may have begun meanwhile.
      this.#refuseQuery(client, person)
      return answer
    })
  }

  #refuseQuery(client: string, person: boolean): void {
    if (this.#supervisor.state.kind !== 'ready') throw this.#refusal() ?? notRunning('The VM is not running.')
    if (person) return
    // A VM whose wipe could not be verified may hold what another left.
    if (this.#degraded !== null) throw degradedError(this.#degraded)
    const current = this.#live.dispatcher.current
    if (current !== null && current.client !== client)
      throw new BsmError('BUSY', 'app', "Another client's dispatch is running, or is being wiped.", {
        nextStep: 'Ask again in a moment.',
      })
  }

  /** False when no such command waits or runs, or when it is another client's; a person may cancel any. */
  cancel(commandId: string, client?: string): boolean {
    return this.#queue.cancel(commandId, client)
  }

  /** The snapshot, with what the helper knows right now; of one that is stuck, what it told last. */
  async status(): Promise<AppSnapshot> {
    await Promise.race([this.#refreshStatus(), sleep(STATUS_WAIT_MS, undefined, { ref: false })])
    return this.#store.snapshot
  }

  // -------------------------------------------------------------- state

  snapshot(): AppSnapshot {
    return this.#store.snapshot
  }

  /** Hears of every change of state and does nothing for it: what the icon in the menu bar needs. */
  subscribeQuietly(subscriber: (snapshot: AppSnapshot) => void): () => void {
    return this.#store.subscribe(subscriber)
  }

  /** Hears snapshots, at most 20 a second; while anyone does, the VM's figures are kept fresh. */
  subscribe(subscriber: (snapshot: AppSnapshot) => void): () => void {
    const unsubscribe = this.#store.subscribe(subscriber)
    this.#watchers += 1
    if (this.#watchers === 1) this.#lookRegularly()
    let subscribed = true
    return () => {
      if (!subscribed) return
      subscribed = false
      unsubscribe()
      this.#watchers -= 1
      if (this.#watchers === 0) this.#lookRegularly()
    }
  }

  #lookRegularly(): void {
    clearInterval(this.#looks)
    if (this.#running === null) return
    const { watched, unwatched } = this.#options.lookEveryMs ?? LOOK_EVERY_MS
    this.#looks = setInterval(() => void this.#refreshStatus(), this.#watchers > 0 ? watched : unwatched)
  }

  /** Hears the output of every dispatch, with the client whose it is. */
  onOutput(listener: OutputListener): () => void {
    this.#output.on('output', listener)
    return () => this.#output.off('output', listener)
  }

  /** Hears which log has lines more; for a guest that floods its console, very often. */
  onLogGrew(listener: (source: LogSource) => void): () => void {
    this.#logs.on('grew', listener)
    return () => this.#logs.off('grew', listener)
  }

  /** A bounded piece of one of the app's own logs. Throws a sentence. */
  readLog(query: LogQuery): LogPage {
    return readLog(this.#options.paths, query)
  }

  #enter(activity: Activity): void {
    this.#activity = activity
    this.#refresh()
  }

  #refresh(): void {
    const next = standing({
      ending: this.#ending !== null,
      degraded: this.#degraded,
      problem: this.#problem,
      rising: this.#rising !== null,
      supervisor: this.#supervisor.state,
      sleep: this.#sleep.phase,
      activity: this.#activity,
    })
    this.#store.update({ ...next, degraded: this.#degraded })
  }

  #queueChanged(): void {
    this.#store.update({ queue_length: this.#queue.length })
  }

  #supervisorChanged(state: SupervisorState): void {
    switch (state.kind) {
      case 'ready':
        this.#sandbox.booted()
        this.#unanswered = 0
        this.#store.update({ tools: this.#rising?.image?.manifest.tools ?? [] })
        this.#audit('vm_booted', { boot_path: state.boot.boot_path, helper_pid: state.pid })
        this.#logger.info({ phases: state.boot.phases }, `The VM is ready (${howBooted(state.boot)}).`)
        void this.#refreshStatus()
        this.#openQueue()
        break
      case 'restarting':
        this.#queue.close()
        this.#crashed(state.why)
        this.#store.update({ helper: null, helper_restarts: this.#store.snapshot.helper_restarts + 1 })
        // Nothing may be dispatched anyway until a person acted.
        if (this.#degraded !== null) void this.#sandbox.shutdown()
        break
      case 'failed':
        this.#queue.close()
        this.#rising = null
        this.#crashed(state.error)
        this.#store.update({ helper: null })
        if (isDivergence(state.error)) this.#degrade(asDivergence(state.error))
        this.#queue.refuseAll(state.error)
        break
      case 'stopped':
        this.#store.update({ helper: null })
        break
      case 'starting':
      case 'stopping':
        this.#queue.close()
    }
    this.#refresh()
  }

  #crashed(why: BsmError): void {
    this.#logger.error(why.message)
    this.#store.update({ last_crash: why.message })
    this.#audit('helper_crashed', { code: why.code, message: why.message.slice(0, 500) })
  }

  #helperSaid(event: HelperEvent): void {
    switch (event.event) {
      case 'exec_output': {
        const current = this.#running?.dispatcher.current
        if (current?.commandId === event.command_id) this.#tell(event, current.client)
        return
      }
      case 'channel_changed':
        return this.#store.updateHelper((status) => ({
          ...status,
          channels: [
            ...status.channels.filter(({ port }) => port !== event.channel.port),
            event.channel,
          ].sort((a, b) => a.port - b.port),
        }))
      case 'standby_changed':
        return this.#store.updateHelper((status) => ({ ...status, standby: event.standby }))
      case 'vmm_state_changed':
        return void this.#refreshStatus()
      case 'guest_unreachable':
        return this.#revive(event.message ?? 'The guest stopped answering.')
      case 'log':
        if (event.source === 'console')
          this.#running?.consoleLog.write(this.#clock.now(), event.message ?? '')
        else this.#helperLog(event.level, event.message ?? '')
        return
      case 'helper_panic':
        this.#logger.error({ from: 'helper' }, event.message ?? event.event)
        return
      case 'protocol_error':
        return this.#helperLog('error', event.message ?? event.event)
      case 'reset_phase':
        return
    }
  }

  #tell(event: ExecOutputEvent, client: string): void {
    for (const listener of this.#output.listeners('output'))
      try {
        listener(event, client)
      } catch (error) {
        this.#listenerFailed(error)
      }
  }

  /** Nobody who merely listens may end the app. */
  #listenerFailed(error: unknown): void {
    this.#helperLog('error', `A listener failed: ${BsmError.from(error, 'app').message}`)
  }

  /** What a guest may cause again and again, within a budget. */
  #helperLog(level: 'debug' | 'info' | 'warn' | 'error', line: string): void {
    const suppressed = (lines: number): void => this.#logger.warn(`Suppressed ${lines} lines of the helper.`)
    if (this.#helperBudget.admits(suppressed)) this.#logger[level]({ from: 'helper' }, line)
  }

  #revive(why: string): void {
    this.#logger.warn(why)
    this.#revival.wanted(`${why} Making a new VM.`)
  }

  /** Takes the helper's status into the snapshot; a VM that died while nobody used it is replaced. */
  #refreshStatus(): Promise<void> {
    if (this.#supervisor.state.kind !== 'ready') return Promise.resolve()
    this.#status ??= this.#sandbox
      .status()
      .then((helper) => {
        this.#unanswered = 0
        this.#store.update({ helper: { ...helper, ...this.#coldBootReason() } })
        if (
          helper.vmm_api_state === 'stopped' ||
          helper.vmm_api_state === 'error' ||
          helper.state === 'failed'
        )
          this.#revive('The VM ended unexpectedly.')
      })
      .catch((thrown: unknown) => {
        const error = BsmError.from(thrown, 'helper')
        this.#logger.debug(error.message)
        if (error.code === 'TIMEOUT') this.#unanswered += 1
      })
      .finally(() => {
        this.#status = null
        this.#doubt()
      })
    return this.#status
  }

  /** A helper that does not answer is asked once more, and then replaced. One that works has its dispatch's deadline. */
  #doubt(): void {
    if (this.#unanswered === 0 || !this.#isIdle) return
    if (this.#unanswered < UNANSWERED) return void this.#refreshStatus()
    this.#unanswered = 0
    void this.#supervisor.replace(
      new BsmError('TIMEOUT', 'helper', 'The helper stopped answering while nothing ran.'),
    )
  }

  #coldBootReason(): Pick<HelperStatus, 'cold_boot_reason'> {
    const { state } = this.#supervisor
    const reason = state.kind === 'ready' ? state.boot.cold_boot_reason : undefined
    return reason === undefined ? {} : { cold_boot_reason: reason }
  }

  // -------------------------------------------------------------- degraded mode

  /** Why nothing is dispatched now; null also while the VM starts, since a dispatch may wait for it. */
  #refusal(): BsmError | null {
    if (this.#ending !== null) return notRunning('The app is stopping.')
    if (this.#degraded !== null) return degradedError(this.#degraded)
    const state = this.#supervisor.state
    if (state.kind === 'failed') return state.error
    if (this.#rising === null && (state.kind === 'stopped' || state.kind === 'stopping'))
      return this.#problem ?? notRunning('The VM is not running.')
    return null
  }

  /** On disk first; then refused, recorded and shown. */
  #degrade(error: SandboxResetDivergenceError): void {
    if (this.#degraded !== null) return
    const record = this.#putOnDisk({
      since: this.#clock.now().toISOString(),
      code: error.code,
      sources: [...error.sources],
      message: error.message,
      report: error.report,
    })
    this.#degraded = record
    this.#queue.close()
    this.#queue.refuseAll(degradedError(record))
    this.#logger.error(`Degraded: ${error.message}`)
    this.#audit('degraded', {
      code: error.code,
      sources: record.sources,
      message: error.message.slice(0, 500),
    })
    this.#refresh()
  }

  /** Refusing goes on in memory even where the disk takes nothing; then the message says that it will not last. */
  #putOnDisk(record: Degraded): Degraded {
    try {
      this.#degradedStore.enter(record)
      return record
    } catch (error) {
      const problem = BsmError.from(error, 'app').message
      this.#logger.error(problem)
      return { ...record, message: `${record.message} This will be forgotten when the app ends: ${problem}` }
    }
  }

  /** A person takes responsibility: recorded first, then a new helper from verified parts. Throws a sentence. */
  async recover(reason: string, by = 'cli'): Promise<void> {
    const { audit } = this.#live
    if (this.#degraded === null)
      throw new BsmError('BAD_REQUEST', 'app', 'The sandbox is not degraded.', {
        nextStep: 'There is nothing to do.',
      })
    audit.append('recovered', { reason, by, was: this.#degraded.code })
    this.#degradedStore.leave()
    this.#degraded = null
    // The helper that saw the divergence refuses for the rest of its life.
    await this.#halt()
    this.#refresh()
    try {
      this.#degradedStore.arm(this.#clock.now())
    } catch (error) {
      this.#logger.error(BsmError.from(error, 'app').message)
    }
    await this.up()
  }

  // -------------------------------------------------------------- administration

  get clients(): { list: ClientStore['list']; add(name: string): string; revoke(name: string): void } {
    const { clients, audit, sockets } = this.#live
    return {
      list: () => clients.list(),
      add: (name) => {
        const token = clients.add(name)
        this.#store.update({ first_run: false })
        audit.append('client_added', { client: name })
        return token
      },
      revoke: (name) => {
        clients.revoke(name)
        sockets.dropClient(name)
        audit.append('client_revoked', { client: name })
      },
    }
  }

  settings(set?: SettingsPatch): {
    settings: Settings
    restart_needed: boolean
  } {
    const { settings, audit } = this.#live
    if (set !== undefined) {
      const before = settings.current
      const after = settings.set(set)
      audit.append('settings_changed', { before: { ...before }, after: { ...after } })
      this.#showTargets(after)
    }
    return { settings: settings.current, restart_needed: this.#restartNeeded(settings.current) }
  }

  /** The same for a person who is to choose: with the defaults, and what this machine has. */
  settingsView(set?: SettingsPatch): SettingsView {
    return {
      ...this.settings(set),
      defaults: this.#live.settings.defaults,
      images: listImages(this.#options.imageDir),
      host: { cpus: availableParallelism(), memory_mib: Math.floor(totalmem() / 1024 / 1024) },
    }
  }

  #showTargets({ reset_target_fast_ms, reset_target_cold_ms }: Settings): void {
    this.#store.update({
      reset_target_ms: { fast_snapshot: reset_target_fast_ms, cold_boot: reset_target_cold_ms },
    })
  }

  #restartNeeded(settings: Settings): boolean {
    const booted = this.#rising?.settings ?? settings
    return (['cpus', 'memory_mib', 'image'] as const).some((name) => booted[name] !== settings[name])
  }

  /** Runs every check there is, each with a deadline of its own. */
  diagnose(): Promise<Diagnosis> {
    return diagnose(this.#machine)
  }

  /** What a maintainer needs to see, without secrets. */
  async supportBundle(): Promise<Bundle> {
    const { name, zip, files } = await makeBundle(this.#machine, this.#options.paths, this.#clock.now())
    return { name, data_b64: zip.toString('base64'), files }
  }

  get #machine(): Machine {
    const { projectRoot = null, imageDir, helper } = this.#options
    return thisMachine({
      root: projectRoot,
      imageDir,
      env: process.env,
      helper: () => helper,
      app: () => this.status(),
      audit: () => this.verifyAudit(),
    })
  }

  verifyAudit(): Promise<AuditVerdict> {
    return this.#live.audit.verify()
  }

  /** Recomputes a kept chain and compares it with the hash in the audit log, without the helper. */
  async verifyEvidence(commandId: string): Promise<EvidenceVerdict> {
    const { audit, evidence } = this.#live
    const entry = await audit.find('dispatch', (candidate) => candidate.command_id === commandId)
    const onRecord = typeof entry?.evidence_hash === 'string' ? entry.evidence_hash : null
    return evidence.verify(commandId, onRecord)
  }

  /** A fresh single-use address of the page. Throws when no UI is served. */
  openUi(): string {
    if (this.#ui !== null) return this.#ui.mintUrl()
    throw new BsmError('BAD_REQUEST', 'app', 'This app serves no page.', {
      nextStep: 'Start it with npm start.',
    })
  }

  /** The UI server announces itself; the app closes it when it stops. */
  attachUi(ui: { mintUrl: () => string; close: () => Promise<void> }): void {
    this.#ui = ui
  }

  get logger(): Logger {
    return this.#logger
  }

  get version(): string {
    return this.#options.version
  }

  #audit(kind: Parameters<AuditLog['append']>[0], facts: Parameters<AuditLog['append']>[1]): void {
    try {
      this.#running?.audit.append(kind, facts)
    } catch (error) {
      this.#logger.error(BsmError.from(error, 'app').message)
    }
  }

  get #logger(): Logger {
    return this.#running?.logger ?? SILENT
  }

  get #live(): Running {
    if (this.#running !== null) return this.#running
    throw notRunning('The app is not running.')
  }
}

interface Running {
  readonly lock: InstanceLock
  readonly logger: Logger
  readonly consoleLog: ConsoleLog
  readonly settings: SettingsStore
  readonly clients: ClientStore
  readonly audit: AuditLog
  readonly evidence: EvidenceStore
  readonly dispatcher: Dispatcher
  readonly sockets: LocalSockets
}

interface Rising {
  readonly settings: Settings
  /** Null until it was looked for. */
  image: GuestImage | null
}

const SILENT = createLogger({})

function openLogs(
  directory: string,
  people: AppOptions['people'],
  grew: (source: LogSource) => void,
): { logger: Logger; consoleLog: ConsoleLog } {
  try {
    const onLine = (): void => grew('app')
    const logger = createLogger({ directory, onLine, ...(people === undefined ? {} : { people }) })
    return { logger, consoleLog: new ConsoleLog(directory, () => grew('console')) }
  } catch (error) {
    throw fileError(error, 'open the log')
  }
}

const notRunning = (message: string): BsmError =>
  new BsmError('VM_LIFECYCLE_ERROR', 'app', message, { nextStep: 'Start it with `bsm up`.' })

const cutOff = (): BsmError =>
  new BsmError('CANCELLED', 'app', 'The VM was stopped while it ran.', {
    nextStep: 'Start the VM with `bsm up`, then dispatch it again.',
  })

const degradedError = (degraded: Degraded): BsmError =>
  new BsmError('DEGRADED', 'app', `Dispatches are refused: ${degraded.message}`, {
    nextStep: 'Look at the report, then leave degraded mode with `bsm recover --reason "…"`.',
  })

function howBooted({ boot_path, cold_boot_reason }: BootResult): string {
  if (boot_path === 'fast_snapshot') return 'from its golden snapshot'
  return cold_boot_reason === undefined ? 'cold boot' : `cold boot: ${cold_boot_reason}`
}

const isDivergence = (error: BsmError): boolean =>
  ['RESET_VERIFICATION_DIVERGENCE', 'RESET_VERIFICATION_TIMEOUT', 'DEGRADED'].includes(error.code)

const asDivergence = (error: BsmError): SandboxResetDivergenceError =>
  error.code === 'RESET_VERIFICATION_TIMEOUT'
    ? new SandboxResetDivergenceError(error.code, error.message, [], null)
    : new SandboxResetDivergenceError('RESET_VERIFICATION_DIVERGENCE', error.message, [], null)
