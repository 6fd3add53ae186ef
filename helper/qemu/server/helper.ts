import { lstat } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import {
  type BootPath,
  type BootResult,
  BsmError,
  EMPTY_SHA256,
  type ExecRequest,
  type ExecResponse,
  type HelperRequest,
  type HelperResponse,
  type HelperState,
  type HelperStatus,
  type ResetReport,
  type VerificationDetails,
  type VmmApiState,
} from '../../../core/protocol/index.ts'
import { garbageCollector } from '../../../core/protocol/garbage.ts'
import type { BootConfig } from '../boot-config.ts'
import { now } from '../deadline.ts'
import type { Disk } from '../disk.ts'
import type { Epochs } from '../epoch.ts'
import type { Golden } from '../golden/golden.ts'
import type { GoldenStore } from '../golden/store.ts'
import { prepareVm, type PreparedVm, type PrepareInput } from '../reset/prepare.ts'
import { judge, readSources } from '../reset/sources.ts'
import { StandbyKeeper } from '../reset/standby.ts'
import { swap } from '../reset/swap.ts'
import type { GuestVm } from '../vm/guest-vm.ts'
import type { MachineConfig } from '../vm/qemu-args.ts'
import { type Booted, bootFirst, phaseClock } from './boot.ts'
import type { Emit } from './events.ts'
import { usedBefore } from '../evidence/chain-file.ts'
import { Exec, refusedExec } from './exec.ts'
import { ChannelTotals } from './channel-totals.ts'
import { LiveVm } from './live-vm.ts'
import { UsedIds } from './used-ids.ts'

export type HelperInput = {
  config: BootConfig
  machine: MachineConfig
  stateDir: string
  store: GoldenStore
  epochs: Epochs
  emit: Emit
  /** Gives up the boot. */
  giveUp: AbortSignal
}

type RequestOf<K extends HelperRequest['kind']> = Extract<HelperRequest, { kind: K }>
type Response<K extends HelperResponse['kind']> = Extract<HelperResponse, { kind: K }>

/** What is done ahead begins this long after a VM took over: a dispatch may already wait for the same two cores. */
const QUIET_MS = 200

/** A snapshot half written when the end comes gets this long; what is then unfinished is removed. */
const WRITING_MS = 3_000

/** Everything that is there once the VM was booted. */
type Running = Booted & { standby: StandbyKeeper }

/** One helper: one image, one VM at a time, and the requests about it (§2). */
export class Helper {
  readonly #input: HelperInput
  readonly #boot = new AbortController()
  #state: HelperState = 'booting'
  #running: Running | null = null
  #live: LiveVm | null = null
  /** What the channels of earlier VMs carried. */
  readonly #totals = new ChannelTotals()
  #bootingVm: GuestVm | null = null
  #exec: Exec | null = null
  /** The latest of this helper's life; the chains on disk tell of those before. */
  readonly #usedIds = new UsedIds()
  #execOver: Promise<unknown> = Promise.resolve()
  /** Divergence, or silence twice: nothing runs any more in this helper's life (§4). */
  #degraded: BsmError | null = null
  /** Why there is no VM to run anything in; a reset may mend it. */
  #failure: BsmError | null = null
  #lastReset: ResetReport | null = null
  #bootPath: BootPath | null = null
  #bootMs: number | null = null
  #bootedAt: string | null = null
  /** Resets and restores asked for and not done. */
  #replacements = 0
  readonly #wiped = garbageCollector()
  /** Resets and states move one at a time. */
  #exclusive: Promise<unknown> = Promise.resolve()
  #stopped: Promise<void> | null = null
  /** Made by this helper, and not on disk yet. */
  #unkept: Golden | null = null
  /** Snapshots being written to disk. */
  #writing: Promise<unknown> = Promise.resolve()
  readonly #stopWriting = new AbortController()

  constructor(input: HelperInput) {
    this.#input = input
    if (input.giveUp.aborted) this.#boot.abort()
    input.giveUp.addEventListener('abort', () => {
      this.#boot.abort()
      void this.#bootingVm?.kill().catch(() => undefined)
    })
  }

  get degraded(): BsmError | null {
    return this.#degraded
  }

  // -------------------------------------------------------------- boot and end

  async boot(): Promise<BootResult> {
    const started = now()
    const clock = phaseClock()
    try {
      this.#boot.signal.throwIfAborted()
      const booted = await bootFirst({
        config: this.#input.config,
        machine: this.#input.machine,
        store: this.#input.store,
        prepare: async (golden, disk) =>
          await this.#prepare(golden, disk, {
            niceness: 0,
            waitedSince: () => 0,
            phase: () => undefined,
            warmup: false,
            started: (vm) => this.#hasStarted(vm),
          }),
        phase: clock.ended,
        console: (message) => this.#log('console', 'info', message),
        warn: (message) => this.#log('helper', 'warn', message),
        signal: this.#boot.signal,
      })
      if (this.#boot.signal.aborted) {
        await booted.first.vm.kill()
        throw aborted()
      }
      this.#begin(booted)
      if (this.#input.config.image === null)
        this.#log(
          'helper',
          'warn',
          'This image has no manifest: its digests were measured before its first boot.',
        )
      this.#bootMs = now() - started
      this.#bootedAt = new Date().toISOString()
      this.#bootPath = booted.coldBootReason === null ? 'fast_snapshot' : 'cold_boot'
      return {
        kind: 'boot_result',
        ok: true,
        vmm_api_state: this.#vmmApiState(),
        boot_path: this.#bootPath,
        ts: new Date().toISOString(),
        phases: clock.phases,
        ...(booted.coldBootReason === null ? {} : { cold_boot_reason: booted.coldBootReason }),
        ...(this.#live?.vsockCid === undefined ? {} : { vsock_cid: this.#live.vsockCid }),
      }
    } catch (thrown) {
      const error = this.#boot.signal.aborted ? aborted() : BsmError.from(thrown, 'helper')
      this.#fail(error)
      return failedBoot(error)
    }
  }

  /** Kills every VM and closes every descriptor; safe to call at any moment, and twice. */
  async shutdown(): Promise<void> {
    this.#stopped ??= this.#stop()
    await this.#stopped
  }

  async #stop(): Promise<void> {
    this.#state = 'stopping'
    this.#boot.abort()
    this.#live?.retire()
    await Promise.allSettled([this.#bootingVm?.kill(), this.#live?.vm.kill(), this.#running?.standby.close()])
    if (this.#unkept !== null) this.#keepGolden(this.#unkept)
    const impatience = setTimeout(() => this.#stopWriting.abort(), WRITING_MS)
    await Promise.allSettled([this.#exclusive, this.#execOver, this.#writing])
    clearTimeout(impatience)
    this.#running?.golden.close()
    this.#running?.disk.close()
  }

  #begin(booted: Booted): void {
    const { golden, first } = booted
    if (first.firstAck.ram_nonce !== golden.nonce || first.firstAck.dispatches !== 0)
      throw new BsmError('VM_LIFECYCLE_ERROR', 'guest', 'The restored guest is not the one that was saved.', {
        nextStep: 'Start again; if it happens again, build the guest image again.',
      })
    this.#running = { ...booted, standby: this.#newStandbyKeeper(golden, booted.disk) }
    this.#live = this.#liveFrom(first)
    this.#state = 'ready'
    this.#bootingVm = null
    if (booted.coldBootReason !== null) this.#unkept = golden
    this.#prepareAhead()
  }

  #prepareAhead(): void {
    setTimeout(() => {
      if (this.#state === 'stopping' || this.#degraded !== null) return
      void this.#running?.golden.manifest
      this.#running?.standby.prepareSoon()
    }, QUIET_MS)
  }

  /** Writes a new golden snapshot to disk, once its baselines are known; no one waits for it. */
  #keepGolden(golden: Golden): void {
    this.#unkept = null
    this.#writing = this.#input.store.keep(golden, this.#stopWriting.signal).catch((thrown: unknown) => {
      const error = BsmError.from(thrown, 'helper')
      this.#log('helper', 'error', `${error.message} ${error.nextStep ?? ''} The next start boots from cold.`)
    })
  }

  // -------------------------------------------------------------- requests

  /** Answers one request. Never rejects. */
  async handle(request: HelperRequest): Promise<HelperResponse> {
    switch (request.kind) {
      case 'exec':
        return await this.#handleExec(request)
      case 'reset':
        return await this.#handleReset(request)
      case 'save_state':
        return await this.#handleSaveState(request)
      case 'restore_state':
        return await this.#handleRestoreState(request)
      case 'verify':
        return await this.#handleVerify(request)
      case 'shutdown':
        await this.shutdown()
        return { kind: 'shutdown_response', request_id: request.request_id, ok: true }
      case 'status':
        return { kind: 'status_response', request_id: request.request_id, ...this.status() }
      case 'query':
        return await this.#handleQuery(request)
      case 'cancel':
        return await this.#handleCancel(request)
    }
  }

  /** One request of a one-shot client: there, a dispatch is not answered before its VM is gone (§1). */
  async handleOneShot(request: HelperRequest): Promise<HelperResponse> {
    if (request.kind !== 'exec') return await this.handle(request)
    const response = await this.#handleExec(request)
    if (response.epoch === undefined) return response
    return { ...response, reset: await this.#replacingVm(async () => await this.#reset()) }
  }

  status(): HelperStatus {
    const { config, machine } = this.#input
    const live = this.#live
    const golden = this.#running?.golden
    return {
      state: this.#state,
      backend: 'qemu',
      accelerator: machine.accelerator,
      vmm_api_state: this.#vmmApiState(),
      boot_path: this.#bootPath,
      boot_ms: this.#bootMs,
      booted_at: this.#bootedAt,
      cpus: config.cpus,
      memory_mib: config.memoryMib,
      vm_id: live?.vm.id ?? null,
      ...(live?.vsockCid === undefined ? {} : { vsock_cid: live.vsockCid }),
      host_rss_bytes: live?.vm.qemu.residentBytes() ?? null,
      epoch: live?.epoch ?? null,
      image:
        config.image === null
          ? null
          : {
              image_digest: config.image.image_digest,
              image_version: config.image.image_version,
              recipe: config.image.recipe,
              rootfs_digest: config.image.rootfs.digest,
            },
      guest: live?.guest ?? null,
      channels: live?.channels() ?? [],
      last_reset: this.#lastReset,
      golden:
        golden === undefined || golden.hash === null
          ? null
          : {
              golden_hash: golden.hash,
              created_at: golden.createdAt,
              bytes: golden.bytes,
              open_fd_count_baseline: golden.baselines?.openFdCount ?? null,
            },
      standby: this.#running?.standby.status() ?? {
        state: 'none',
        prepare_ms: null,
        since: new Date().toISOString(),
      },
      exec:
        this.#exec === null
          ? null
          : {
              command_id: this.#exec.request.command_id,
              tool: this.#exec.request.tool,
              started_at: this.#exec.startedAt,
            },
    }
  }

  async #handleExec(request: ExecRequest): Promise<ExecResponse> {
    const refusal = this.#refusal()
    if (refusal !== null) return refusedExec(request, refusal)
    if (this.#usedIds.has(request.command_id)) return refusedExec(request, usedBefore(request.command_id))
    const live = this.#live
    if (live === null) return refusedExec(request, noVm())
    const exec = new Exec(request, live, this.#input.emit, this.#input.stateDir)
    this.#usedIds.add(request.command_id)
    this.#exec = exec
    this.#state = 'dispatching'
    const running = exec.run()
    this.#execOver = running
    const response = await running
    this.#exec = null
    if (this.#state === 'dispatching') this.#state = 'ready'
    if (response.error?.code === 'SANDBOX_TOOL_TIMEOUT' && response.evidence_hash === null)
      await this.#abandon(live)
    return response
  }

  /** A guest that did not end a tool at its deadline is not trusted to end it later. */
  async #abandon(live: LiveVm): Promise<void> {
    await live.vm.kill().catch((error: unknown) => this.#log('helper', 'error', String(error)))
  }

  async #handleReset(request: RequestOf<'reset'>): Promise<Response<'reset_response'>> {
    const report = await this.#replacingVm(async () => await this.#reset())
    return { kind: 'reset_response', request_id: request.request_id, ...report }
  }

  async #handleVerify(request: RequestOf<'verify'>): Promise<Response<'verify_response'>> {
    const expected = {
      fsHash: request.fs_hash_baseline,
      openFdCount: request.open_fd_count_baseline,
      vmmApiState: request.expected_vmm_api_state,
    }
    const respond = (details: VerificationDetails, error: BsmError | null): Response<'verify_response'> => ({
      kind: 'verify_response',
      request_id: request.request_id,
      ...details,
      ...(error === null ? {} : { error: error.toWire() }),
    })
    const unread: VerificationDetails = {
      fs_hash: null,
      fs_hash_baseline: request.fs_hash_baseline,
      fs_hash_match: null,
      open_fd_count: null,
      open_fd_count_baseline: request.open_fd_count_baseline,
      vmm_api_state: null,
      expected_vmm_api_state: request.expected_vmm_api_state,
      divergence_action: 'none',
    }
    if (request.fs_hash_baseline === EMPTY_SHA256)
      return respond(unread, new BsmError('BAD_REQUEST', 'agent', 'The baseline is the hash of nothing.'))
    const live = this.#live
    const running = this.#running
    if (live === null || running === null) return respond(unread, this.#failure ?? noVm())
    const { details, disagree, silent } = judge(await readSources(live.vm, running.disk), expected)
    if (disagree.length > 0)
      return respond(
        details,
        new BsmError('RESET_VERIFICATION_DIVERGENCE', 'helper', `Not as expected: ${disagree.join(', ')}.`, {
          nextStep: 'Reset the VM.',
        }),
      )
    if (silent.length > 0)
      return respond(
        details,
        new BsmError('RESET_VERIFICATION_TIMEOUT', 'helper', `Could not be read: ${silent.join(', ')}.`, {
          nextStep: 'Reset the VM.',
        }),
      )
    return respond(details, null)
  }

  async #handleQuery(request: RequestOf<'query'>): Promise<Response<'query_response'>> {
    const { request_id, query_kind } = request
    try {
      if (this.#live === null) throw this.#failure ?? noVm()
      const result = await this.#live.vm.queries.ask(query_kind)
      return { kind: 'query_response', request_id, query_kind, result }
    } catch (thrown) {
      return {
        kind: 'query_response',
        request_id,
        query_kind,
        error: BsmError.from(thrown, 'helper').toWire(),
      }
    }
  }

  async #handleCancel(request: RequestOf<'cancel'>): Promise<Response<'cancel_response'>> {
    const { request_id, command_id } = request
    const exec = this.#exec
    const cancelled = exec?.request.command_id === command_id && (await exec.cancel())
    return { kind: 'cancel_response', request_id, command_id, cancelled }
  }

  async #handleSaveState(request: RequestOf<'save_state'>): Promise<Response<'save_state_response'>> {
    const { request_id, out_path } = request
    try {
      const bytes_written = await this.#exclusively(async () => await this.#saveState(out_path))
      return { kind: 'save_state_response', request_id, ok: true, out_path, bytes_written }
    } catch (thrown) {
      const error = BsmError.from(thrown, 'helper').toWire()
      return { kind: 'save_state_response', request_id, ok: false, out_path, error }
    }
  }

  async #handleRestoreState(
    request: RequestOf<'restore_state'>,
  ): Promise<Response<'restore_state_response'>> {
    const { request_id } = request
    const kind = 'restore_state_response'
    try {
      await this.#replacingVm(async () => await this.#restoreState(request.from_path))
      return { kind, request_id, ok: true, vmm_api_state: this.#vmmApiState() }
    } catch (thrown) {
      const error = BsmError.from(thrown, 'helper').toWire()
      return { kind, request_id, ok: false, vmm_api_state: this.#vmmApiState(), error }
    }
  }

  // -------------------------------------------------------------- reset

  /** Never rejects: a reset that failed is a report too. */
  async #reset(): Promise<ResetReport> {
    const started = now()
    const running = this.#running
    if (this.#degraded !== null) return unreset(degradedError(this.#degraded), running, started)
    if (running === null || this.#state === 'stopping') return unreset(noVm(), running, started)
    await this.#endExec()
    this.#state = 'resetting'
    const old = this.#live
    old?.retire()
    let report: ResetReport
    try {
      report = await this.#swapTwice(running, old, started)
    } catch (thrown) {
      const cause = BsmError.from(thrown, 'helper')
      const error = new BsmError('RESET_FAILED', cause.layer, `No new VM could be made: ${cause.message}`, {
        nextStep: cause.nextStep ?? 'Reset again.',
        cause: cause.cause ?? cause.code,
      })
      report = unreset(error, running, started)
      this.#live = null
      await old?.vm.kill().catch(() => undefined)
      this.#fail(error)
    }
    this.#lastReset = report
    if (!report.verification_passed && report.error?.code !== 'RESET_FAILED')
      this.#degrade(report.error === undefined ? noVm() : BsmError.fromWire(report.error))
    else if (report.verification_passed) this.#state = 'ready'
    this.#wiped()
    this.#prepareAhead()
    return report
  }

  /** A source that stayed silent gets one more chance, with another VM; a lie gets none (§4). */
  async #swapTwice(running: Running, old: LiveVm | null, started: number): Promise<ResetReport> {
    const first = await this.#swapOnce(running, old, started)
    if (first.error?.code !== 'RESET_VERIFICATION_TIMEOUT') return first
    this.#log('helper', 'warn', `${first.error.message} Trying once more with another VM.`)
    return await this.#swapOnce(running, old, started)
  }

  async #swapOnce(running: Running, old: LiveVm | null, started: number): Promise<ResetReport> {
    const prepared = await running.standby.take()
    const { report, ack } = await swap({
      old: old?.vm ?? null,
      prepared,
      golden: running.golden,
      disk: running.disk,
      fsHashBaseline: running.fsHashBaseline,
      phase: (phase) => this.#input.emit({ event: 'reset_phase', phase }),
    }).catch(async (error: unknown) => {
      await prepared.vm.kill().catch(() => undefined)
      throw error
    })
    if (report.verification_passed) {
      this.#live = this.#liveFrom(prepared)
      if (ack !== null) this.#live.clockSet(ack.clock_step_ms)
    } else {
      this.#live = null
      await prepared.vm.kill().catch(() => undefined)
    }
    const isMeasured = this.#input.config.image === null
    return {
      ...report,
      total_ms: now() - started,
      ...(isMeasured ? { fs_hash_measured: true as const } : {}),
    }
  }

  async #endExec(): Promise<void> {
    await this.#exec?.cancel()
    await this.#execOver
  }

  // -------------------------------------------------------------- saved states

  /**
   * A saved state is a golden snapshot: the one state in which the guest was frozen and never resumed.
   * What a dispatch left behind in the live VM is never saved.
   */
  async #saveState(outPath: string): Promise<number> {
    const running = this.#running
    if (running === null) throw noVm()
    if (!isAbsolute(outPath)) throw badPath('out_path is not an absolute path.')
    const exists = await lstat(outPath).then(
      () => true,
      () => false,
    )
    if (exists) throw badPath(`${outPath} exists already.`)
    return await this.#input.store.write(running.golden, outPath, this.#stopWriting.signal)
  }

  async #restoreState(fromPath: string): Promise<void> {
    const running = this.#running
    if (this.#degraded !== null) throw degradedError(this.#degraded)
    if (running === null) throw noVm()
    if (!isAbsolute(fromPath)) throw badPath('from_path is not an absolute path.')
    const manifest = await running.golden.manifest
    const golden = await this.#input.store.load(fromPath, manifest, this.#input.machine)
    try {
      await golden.verified()
      await this.#adopt(running, golden)
    } catch (error) {
      if (this.#running?.golden !== golden) golden.close()
      throw error
    }
  }

  /** Swaps to a VM made from another golden snapshot of the same parts. */
  async #adopt(running: Running, golden: Golden): Promise<void> {
    await this.#endExec()
    this.#state = 'resetting'
    const old = this.#live
    await Promise.all([running.standby.close(), this.#writing])
    const next: Running = { ...running, golden, standby: this.#newStandbyKeeper(golden, running.disk) }
    this.#running = next
    running.golden.close()
    old?.retire()
    let report: ResetReport
    try {
      report = await this.#swapTwice(next, old, now())
    } catch (thrown) {
      this.#live = null
      await old?.vm.kill().catch(() => undefined)
      const error = BsmError.from(thrown, 'helper')
      this.#fail(error)
      throw error
    }
    this.#lastReset = report
    if (report.error !== undefined) {
      const error = BsmError.fromWire(report.error)
      this.#degrade(error)
      throw error
    }
    this.#state = 'ready'
    this.#prepareAhead()
  }

  // -------------------------------------------------------------- parts

  async #prepare(
    golden: Golden,
    disk: Disk,
    input: Omit<PrepareInput, 'golden' | 'disk' | 'epochs'>,
  ): Promise<PreparedVm> {
    return await prepareVm({ golden, disk, epochs: this.#input.epochs, ...input })
  }

  #newStandbyKeeper(golden: Golden, disk: Disk): StandbyKeeper {
    return new StandbyKeeper({
      prepare: async (input) => {
        const prepared = await this.#prepare(golden, disk, {
          ...input,
          warmup: true,
          // A reset waits for it: its phases are that reset's.
          phase: (phase) => {
            if (!phase.ahead) this.#input.emit({ event: 'reset_phase', phase })
          },
        })
        this.#measureBaselines(golden, prepared)
        if (this.#unkept === golden) this.#keepGolden(golden)
        return prepared
      },
      changed: (standby) => this.#input.emit({ event: 'standby_changed', standby }),
    })
  }

  /** The first standby restored from a golden snapshot sets what every later one is compared with (§4). */
  #measureBaselines(golden: Golden, prepared: PreparedVm): void {
    if (prepared.openFdCount === null || prepared.beat === null) return
    if (golden.baselines !== null) return
    golden.baselines = { openFdCount: prepared.openFdCount, overlayBytes: prepared.beat.overlay_bytes }
    // One that lies on disk without them was kept in haste; a new one is about to be kept with them.
    if (this.#unkept !== golden) void this.#input.store.keepBaselines(golden).catch(() => undefined)
  }

  #liveFrom(prepared: PreparedVm): LiveVm {
    return new LiveVm(prepared, this.#totals, this.#input.emit, (error) => this.#fail(error))
  }

  #hasStarted(vm: GuestVm): void {
    this.#bootingVm = vm
    if (this.#boot.signal.aborted) void vm.kill().catch(() => undefined)
  }

  #vmmApiState(): VmmApiState {
    return this.#live?.state ?? 'stopped'
  }

  /** Why nothing may be dispatched now, or null. */
  #refusal(): BsmError | null {
    if (this.#degraded !== null) return degradedError(this.#degraded)
    if (this.#replacements > 0) return beingReset()
    switch (this.#state) {
      case 'ready':
        return null
      case 'dispatching':
        return new BsmError('BUSY', 'helper', 'Another command is running.', {
          nextStep: 'Wait for its response.',
        })
      case 'resetting':
        return beingReset()
      case 'failed':
        return this.#failure ?? noVm()
      case 'booting':
      case 'stopping':
        return noVm()
    }
  }

  #degrade(error: BsmError): void {
    this.#degraded = error
    this.#running?.standby.discard('Nothing is run any more.')
    this.#fail(error)
  }

  #fail(error: BsmError): void {
    if (this.#state === 'stopping') return
    this.#failure = error
    // A reset under way decides for itself what it ends as.
    if (this.#state !== 'resetting' || this.#live === null) this.#state = 'failed'
  }

  /** Whatever comes behind a reset finds it under way, also while it still waits for its turn. */
  async #replacingVm<T>(work: () => Promise<T>): Promise<T> {
    this.#replacements += 1
    try {
      return await this.#exclusively(work)
    } finally {
      this.#replacements -= 1
    }
  }

  async #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#exclusive.then(work, work)
    this.#exclusive = mine.catch(() => undefined)
    return await mine
  }

  #log(source: 'helper' | 'console', level: 'info' | 'warn' | 'error', message: string): void {
    this.#input.emit({ event: 'log', source, level, message })
  }
}

export const failedBoot = (error: BsmError): BootResult => ({
  kind: 'boot_result',
  ok: false,
  vmm_api_state: 'stopped',
  boot_path: 'cold_boot',
  ts: new Date().toISOString(),
  error: error.toWire(),
})

const beingReset = (): BsmError =>
  new BsmError('BUSY', 'helper', 'The VM is being reset.', { nextStep: 'Wait for the reset.' })

const noVm = (): BsmError =>
  new BsmError('VM_LIFECYCLE_ERROR', 'helper', 'There is no VM.', { nextStep: 'Start the helper again.' })

const aborted = (): BsmError =>
  new BsmError('CANCELLED', 'agent', 'The boot was given up before it was done.')

const degradedError = (why: BsmError): BsmError =>
  new BsmError('DEGRADED', 'helper', `Nothing is run any more: ${why.message}`, {
    nextStep: 'A person must look at it and recover the sandbox.',
    cause: why.code,
  })

const badPath = (message: string): BsmError =>
  new BsmError('BAD_REQUEST', 'agent', message, { nextStep: 'Give another path.' })

/** The report of a reset that could not even be begun. */
function unreset(error: BsmError, running: Running | null, started: number): ResetReport {
  return {
    fs_hash: null,
    fs_hash_baseline: running?.fsHashBaseline ?? null,
    fs_hash_match: null,
    open_fd_count: null,
    open_fd_count_baseline: running?.golden.baselines?.openFdCount ?? null,
    vmm_api_state: null,
    expected_vmm_api_state: 'running',
    divergence_action: error.code === 'DEGRADED' ? 'halt' : 'none',
    reset_at: new Date().toISOString(),
    golden_hash: running?.golden.hash ?? null,
    verification_passed: false,
    reset_path: 'fast_snapshot',
    phases: [],
    total_ms: now() - started,
    wipe: null,
    failed: [],
    error: error.toWire(),
  }
}
