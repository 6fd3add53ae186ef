import { errnoOf } from '../files.ts'
import { BsmError, EXIT, type ErrorCode } from '../protocol/index.ts'

const MEANING: Record<number, readonly [code: ErrorCode, meaning: string]> = {
  [EXIT.ok]: ['VM_LIFECYCLE_ERROR', 'it stopped although nobody asked it to'],
  [EXIT.preflightFailed]: ['PREFLIGHT_FAILED', 'this machine lacks something it needs'],
  [EXIT.bootConfigInvalid]: ['BOOT_CONFIG_INVALID', 'the boot configuration is invalid'],
  [EXIT.vmLifecycle]: ['VM_LIFECYCLE_ERROR', 'the VM failed'],
  [EXIT.guestUnreachable]: ['GUEST_UNREACHABLE', 'the guest did not answer'],
  [EXIT.divergence]: ['RESET_VERIFICATION_DIVERGENCE', 'a reset could not be verified'],
  [EXIT.timedOut]: ['TIMEOUT', 'it timed out'],
  [EXIT.internalBug]: ['INTERNAL_BUG', 'it has a bug'],
}

/** Why a helper process ended, as one sentence (exit codes: protocol §1). */
export function exitError(
  exit: { code: number | null; signal: NodeJS.Signals | null },
  lastWords: string | undefined,
): BsmError {
  const [code, meaning] = MEANING[exit.code ?? -1] ?? ['VM_LIFECYCLE_ERROR', 'it ended unexpectedly']
  const how =
    exit.signal === null ? `ended with exit code ${exit.code}: ${meaning}` : `was killed by ${exit.signal}`
  return new BsmError(exit.signal === null ? code : 'VM_LIFECYCLE_ERROR', 'helper', `The helper ${how}.`, {
    nextStep: 'See `bsm doctor` for what is missing on this machine.',
    ...(lastWords === undefined ? {} : { cause: lastWords }),
  })
}

/** What a helper said of a boot that failed; exit code 64 tells that it is the machine, whatever it called it. */
export function bootError(said: BsmError, exitCode: number | null): BsmError {
  if (exitCode !== EXIT.preflightFailed || said.code === 'PREFLIGHT_FAILED') return said
  return new BsmError('PREFLIGHT_FAILED', said.layer, said.message, {
    nextStep: said.nextStep ?? 'See `bsm doctor` for what is missing on this machine.',
    ...(said.cause === undefined ? {} : { cause: said.cause }),
  })
}

/** Bad CPU type in executable: an arm64-only helper on an Intel Mac. Node has no name for it. */
const EBADARCH = -86

/** Why a helper could not be started at all, as one sentence. */
export function spawnError(thrown: Error, command: string): BsmError {
  const wrongMachine = 'errno' in thrown && thrown.errno === EBADARCH
  const [why, nextStep] = wrongMachine
    ? ['it is built for Apple silicon and this is an Intel Mac', 'Use a Mac with Apple silicon.']
    : errnoOf(thrown) === 'ENOENT'
      ? ['it is not there', 'Build it: npm run build.']
      : errnoOf(thrown) === 'EACCES'
        ? ['it may not be executed', `Run chmod +x ${command}.`]
        : [thrown.message, 'See `bsm doctor`.']
  const code = wrongMachine ? 'PREFLIGHT_FAILED' : 'VM_LIFECYCLE_ERROR'
  return new BsmError(code, 'app', `The helper ${command} cannot be started: ${why}.`, {
    nextStep,
    cause: thrown,
  })
}

/** Failures that the same configuration will meet again: trying once more only hides them. */
export const isPermanent = (error: BsmError): boolean =>
  [
    'PREFLIGHT_FAILED',
    'BOOT_CONFIG_INVALID',
    'IMAGE_MISMATCH',
    'RESET_VERIFICATION_DIVERGENCE',
    'RESET_VERIFICATION_TIMEOUT',
  ].includes(error.code) || error.code === 'DEGRADED'
