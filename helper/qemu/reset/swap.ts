import {
  BsmError,
  LIMITS,
  type ResetPhase,
  type ResetPhaseName,
  type ResetReport,
  type ResumeAck,
  type WipeProof,
} from '../../../core/protocol/index.ts'
import { now } from '../deadline.ts'
import type { Disk } from '../disk.ts'
import type { Golden } from '../golden/golden.ts'
import { GuestRefusal } from '../guest-link/control.ts'
import type { GuestVm } from '../vm/guest-vm.ts'
import { describeExit, type QemuExit } from '../vm/qemu-process.ts'
import type { PreparedVm } from './prepare.ts'
import { judge, listen, readDisk, type Reading } from './sources.ts'

export type SwapInput = {
  /** Null when there is none any more: an earlier reset failed. */
  old: GuestVm | null
  prepared: PreparedVm
  golden: Golden
  disk: Disk
  /** SHA-256 of the rootfs by the image manifest, or as measured before the first boot. */
  fsHashBaseline: string
  phase: (phase: ResetPhase) => void
}

export type Swapped = {
  report: Omit<ResetReport, 'total_ms'>
  /** The second ResumeAck, at the swap; null when it did not come. */
  ack: ResumeAck | null
}

/** What a source gets at least, however long the others took. */
const LEAST_MS = 1_000

export type Failed = ResetReport['failed'][number]

/**
 * Puts the prepared VM in the place of the old one and proves it (§4). Whatever was done ahead, the
 * three sources and the wipe's own proof are read here, now. Never rejects for what it finds: that is
 * in the report.
 */
export async function swap(input: SwapInput): Promise<Swapped> {
  const { old, prepared, golden, disk } = input
  const { vm } = prepared
  // The phases that were waited for follow one another and add up to the whole; what runs beside another
  // counts only for what it outlasts it.
  const phases = prepared.phases.filter(
    ({ name, ahead }) => !ahead || (name !== 'resume' && name !== 'verify'),
  )
  const started = now()
  let mark = started
  const ended = (name: ResetPhaseName) => {
    const before = phases.findIndex((phase) => phase.name === name)
    const [earlier] = before === -1 ? [] : phases.splice(before, 1)
    const phase = { name, ms: now() - mark + (earlier?.ms ?? 0), ahead: false }
    mark = now()
    phases.push(phase)
    input.phase(phase)
  }

  const diskReading = listen(readDisk(disk))
  const discarding = old === null ? null : listen(old.kill())
  const resumeReading = await listen(resumeAgain(prepared))
  ended('resume')
  // The 5 s run from the swap's beginning: a VM that is gone is not waited for twice.
  const left = Math.max(LEAST_MS, LIMITS.sourceSilenceMs - (now() - started))
  const [fsHash, openFdCount, vmmApiState] = await Promise.all([
    diskReading,
    listen(vm.queries.openFdCount(left)),
    listen(vm.apiState(left)),
  ])
  ended('verify')
  const oldExit = await discarding
  if (old !== null) ended('discard')
  const { baselines } = golden
  const { details, disagree, silent } = judge(
    { fsHash, openFdCount, vmmApiState },
    {
      fsHash: input.fsHashBaseline,
      openFdCount: baselines?.openFdCount ?? null,
      vmmApiState: 'running',
    },
  )
  const wipe = proof(input, resumeReading, oldExit)
  const wipeHolds =
    wipe.nonce_match &&
    wipe.dispatches === 0 &&
    wipe.overlay_bytes === baselines?.overlayBytes &&
    (old === null || (wipe.old !== null && wipe.old.id !== wipe.new.id)) &&
    'value' in resumeReading &&
    resumeReading.value.epoch === prepared.key.epoch
  const wipeSilent = 'silent' in resumeReading && !(resumeReading.silent instanceof GuestRefusal)

  const disagreeing: Failed[] = [...(wipeHolds || wipeSilent ? [] : (['wipe'] as const)), ...disagree]
  const silentOnes: Failed[] = [...(wipeSilent ? (['wipe'] as const) : []), ...silent]
  const error = verdict(disagreeing, silentOnes)
  // A golden snapshot of this helper's own making is named while its first VM already runs.
  await golden.manifest
  const report = {
    ...details,
    divergence_action: disagreeing.length > 0 ? ('halt' as const) : ('none' as const),
    reset_at: new Date().toISOString(),
    golden_hash: golden.hash,
    verification_passed: error === null,
    reset_path: 'fast_snapshot' as const,
    phases: inOrder(phases),
    wipe,
    failed: [...disagreeing, ...silentOnes],
    ...(error === null ? {} : { error: error.toWire() }),
  }
  return { report, ack: 'value' in resumeReading ? resumeReading.value : null }
}

/** Sets a paused standby going and takes its epoch's second ResumeAck: fresh entropy, the right time. */
async function resumeAgain({ vm, key }: PreparedVm): Promise<ResumeAck> {
  // Both at once: the message waits in the port until the guest runs.
  const [, ack] = await Promise.all([vm.run(), vm.resume(key, LIMITS.sourceSilenceMs)])
  return ack
}

function proof(
  { old, prepared, golden }: SwapInput,
  ack: Reading<ResumeAck>,
  exit: Reading<QemuExit> | null,
): WipeProof {
  const said = 'value' in ack ? ack.value : null
  return {
    old:
      old !== null && exit !== null && 'value' in exit
        ? { id: old.id, exit: describeExit(exit.value) }
        : null,
    new: { id: prepared.vm.id },
    epoch: prepared.key.epoch,
    nonce_match:
      said !== null &&
      said.ram_nonce === golden.nonce &&
      prepared.firstAck.ram_nonce === golden.nonce &&
      golden.nonce !== '',
    dispatches: said?.dispatches ?? null,
    overlay_bytes: said?.overlay_bytes ?? null,
  }
}

const NAMES: Record<Failed, string> = {
  wipe: "the wipe's own proof",
  fs_hash: "the root disk's hash",
  open_fd_count: "the guest's open descriptors",
  vmm_api_state: "the hypervisor's state",
}

/** Disagreement outweighs silence: the one is a lie, the other may be a hiccup (§4). */
function verdict(disagree: Failed[], silent: Failed[]): BsmError | null {
  const list = (names: Failed[]) => names.map((name) => NAMES[name]).join(', ')
  if (disagree.length > 0)
    return new BsmError(
      'RESET_VERIFICATION_DIVERGENCE',
      'helper',
      `The reset diverged: ${list(disagree)} disagreed.`,
      {
        nextStep: 'Nothing runs any more until a person has looked at it and recovers the sandbox.',
      },
    )
  if (silent.length > 0)
    return new BsmError(
      'RESET_VERIFICATION_TIMEOUT',
      'helper',
      `The reset is unproven: ${list(silent)} stayed silent.`,
      {
        nextStep: 'It is tried once more with another VM.',
      },
    )
  return null
}

const ORDER: ResetPhaseName[] = ['discard', 'load', 'reconnect', 'resume', 'warmup', 'verify']
const inOrder = (phases: ResetPhase[]): ResetPhase[] =>
  phases.toSorted((a, b) => ORDER.indexOf(a.name) - ORDER.indexOf(b.name))
