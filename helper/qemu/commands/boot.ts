import { accessSync, constants, statfsSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import {
  BsmError,
  EXIT,
  exitCodeFor,
  type HelperEvent,
  type HelperRequest,
  type HelperResponse,
} from '../../../core/protocol/index.ts'
import { probeAccelerator } from '../accelerator.ts'
import { type BootOptions, checkBootConfig } from '../boot-config.ts'
import { Epochs } from '../epoch.ts'
import { isErrno } from '../evidence/chain-file.ts'
import { Authenticator } from '../golden/manifest.ts'
import { GoldenStore } from '../golden/store.ts'
import { StateDirOwner } from '../owner.ts'
import { manifestKeyPath } from '../paths.ts'
import { qemuMissing } from '../preflight.ts'
import { qemuBinary } from '../vm/qemu-process.ts'
import { type Emit, stamped } from '../server/events.ts'
import { failedBoot, Helper } from '../server/helper.ts'
import { LineWriter, nonBlockingStdout } from '../server/line-writer.ts'
import { launchersEnded } from '../vm/launcher.ts'
import { NdjsonLoop } from '../server/ndjson-loop.ts'
import { OneShotSocket } from '../server/one-shot-socket.ts'

export type BootCommand = BootOptions & { stateDir: string; socket: string }

/** A golden snapshot of 1 GiB takes about this much: a guest at rest has touched little of its memory. */
const SNAPSHOT_MIB = 192
const FLUSH_MS = 2_000

/** `boot`: the helper itself. Resolves with the exit code once everything it started is gone. */
export async function boot(command: BootCommand): Promise<number> {
  const output = new LineWriter(nonBlockingStdout().on('error', () => undefined))
  // The first line is boot_result: what happens before waits behind it.
  let early: HelperEvent[] | null = []
  const emit: Emit = (event) => {
    const line = stamped(event)
    if (early === null) output.writeIfRoom(line)
    else if (early.length < 1000) early.push(line)
  }
  const resources = new Resources()
  const giveUp = new AbortController()
  const loop = new NdjsonLoop({
    input: process.stdin,
    output,
    emit,
    handle: async (request) => await handleWith(resources.helper, request),
    stopEarly: () => giveUp.abort(),
  })
  const signalled = untilSignal()
  reportPanics(output, resources)

  const result = await (async () => {
    try {
      void signalled.then(() => giveUp.abort())
      const helper = await assemble(command, emit, resources, giveUp.signal)
      const booted = await helper.boot()
      if (booted.ok) await resources.socket?.listen()
      return booted
    } catch (thrown) {
      return failedBoot(asBsmError(thrown))
    }
  })()
  output.write(result)
  for (const line of early ?? []) output.write(line)
  early = null

  if (!result.ok) {
    const wasAborted = result.error?.code === 'CANCELLED'
    if (wasAborted) loop.release() // a shutdown that was held is still answered
    await resources.release()
    await output.flushed(FLUSH_MS)
    return wasAborted || result.error === undefined ? EXIT.ok : exitCodeFor(result.error.code)
  }
  loop.release()
  await Promise.race([loop.over, signalled])
  const degraded = resources.helper?.degraded ?? null
  await resources.release()
  await output.flushed(FLUSH_MS)
  return degraded === null ? EXIT.ok : exitCodeFor(degraded.code)
}

/** What must be given back, in whatever way the helper ends. */
class Resources {
  owner: StateDirOwner | null = null
  helper: Helper | null = null
  socket: OneShotSocket | null = null

  async release(): Promise<void> {
    await this.socket?.close()
    await this.helper?.shutdown()
    await launchersEnded(FLUSH_MS)
    this.owner?.release()
  }
}

async function assemble(
  command: BootCommand,
  emit: Emit,
  resources: Resources,
  giveUp: AbortSignal,
): Promise<Helper> {
  if (!isAbsolute(command.stateDir))
    throw new BsmError('BOOT_CONFIG_INVALID', 'helper', '--state-dir is not an absolute path.', {
      nextStep: 'Give an absolute path.',
    })
  const config = checkBootConfig(command)
  if (command.socket !== 'none')
    resources.socket = await OneShotSocket.reserve(command.socket, async (request) => {
      if (resources.helper === null) return await handleWith(null, request)
      return await resources.helper.handleOneShot(request)
    })
  requireQemu()
  const accelerator = await probeAccelerator()
  resources.owner = new StateDirOwner(command.stateDir)
  const store = new GoldenStore(command.stateDir, new Authenticator(manifestKeyPath()))
  const { predecessor } = resources.owner
  if (predecessor !== null)
    emit({
      event: 'log',
      source: 'helper',
      level: 'warn',
      message: `The helper before this one (process ${predecessor.pid}) died without cleaning up; nothing of it runs any more.`,
    })
  for (const leftover of store.sweep())
    emit({
      event: 'log',
      source: 'helper',
      level: 'warn',
      message: `Removed ${leftover}, which a helper that died left behind.`,
    })
  if (store.list().length === 0) requireSpace(command.stateDir)
  const helper = new Helper({
    config,
    machine: { cpus: config.cpus, memoryMib: config.memoryMib, cmdline: config.cmdline, accelerator },
    stateDir: command.stateDir,
    store,
    epochs: new Epochs(command.stateDir),
    emit,
    giveUp,
  })
  resources.helper = helper
  return helper
}

/** What `preflight` says at length, at the price of one system call. */
function requireQemu(): void {
  const program = qemuBinary()
  if (!program.includes('/')) return
  try {
    accessSync(program, constants.X_OK)
  } catch {
    const { message, remedy } = qemuMissing()
    throw new BsmError('PREFLIGHT_FAILED', 'hypervisor', message, { nextStep: remedy })
  }
}

/** Said before a boot that will save a golden snapshot, not in the middle of the save. */
function requireSpace(stateDir: string): void {
  const { bavail, bsize } = statfsSync(stateDir)
  const free = Math.floor((bavail * bsize) / 2 ** 20)
  if (free < SNAPSHOT_MIB)
    throw new BsmError(
      'VM_LIFECYCLE_ERROR',
      'helper',
      `The disk is full: ${free} MiB are free where the state directory is, ${SNAPSHOT_MIB} MiB are needed.`,
      { nextStep: `Free space on the disk of ${stateDir}, or give another --state-dir.` },
    )
}

async function handleWith(helper: Helper | null, request: HelperRequest): Promise<HelperResponse> {
  if (helper !== null) return await helper.handle(request)
  if (request.kind === 'shutdown')
    return { kind: 'shutdown_response', request_id: request.request_id, ok: true }
  throw new BsmError('VM_LIFECYCLE_ERROR', 'helper', 'There is no VM.', {
    nextStep: 'Start the helper again.',
  })
}

function untilSignal(): Promise<'signal'> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => resolve('signal'))
  })
}

/** A bug of ours ends the helper with a word about it and without a VM. */
function reportPanics(output: LineWriter, resources: Resources): void {
  const panic = (thrown: unknown) => {
    const message = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
    output.write(stamped({ event: 'helper_panic', message }))
    process.stderr.write(`bsm-qemu-helper: internal bug: ${message}\n`)
    const end = () => process.exit(EXIT.internalBug)
    setTimeout(end, FLUSH_MS).unref()
    void resources
      .release()
      .then(async () => await output.flushed(FLUSH_MS))
      .then(end, end)
  }
  process.on('uncaughtException', panic)
  process.on('unhandledRejection', panic)
}

/** Errors of the file system, as people know them. */
function asBsmError(thrown: unknown): BsmError {
  if (thrown instanceof BsmError) return thrown
  const known =
    isErrno(thrown, 'ENOSPC') || isErrno(thrown, 'EDQUOT')
      ? { message: 'The disk is full.', nextStep: 'Free space where the state directory is.' }
      : isErrno(thrown, 'EACCES') || isErrno(thrown, 'EPERM') || isErrno(thrown, 'EROFS')
        ? {
            message: 'A directory of ours may not be written.',
            nextStep: 'Look at its owner and permissions.',
          }
        : isErrno(thrown, 'ENOTDIR') || isErrno(thrown, 'EEXIST')
          ? {
              message: 'A file is where a directory of ours should be.',
              nextStep: 'Move it away, or give another --state-dir.',
            }
          : null
  return known === null
    ? BsmError.from(thrown, 'helper')
    : new BsmError('VM_LIFECYCLE_ERROR', 'helper', known.message, { nextStep: known.nextStep, cause: thrown })
}
