import { exitCodeFor, type BsmError } from '../core/protocol/index.ts'
import { AppNotRunningError } from '../client/index.ts'

/** Exit codes of `bsm`; from 64 on they are the helper's (protocol §1). */
export const EXIT_CODE = {
  ok: 0,
  /** A check ran and its finding is bad: doctor, audit verify, evidence verify. */
  finding: 1,
  usage: 2,
  noApp: 3,
  /** `exec`: the tool was stopped at its deadline. As `timeout(1)` does. */
  deadline: 124,
  /** `exec`: the sandbox failed, not the tool. */
  sandbox: 125,
  interrupted: 130,
} as const

export const EXIT_CODE_HELP = `
Exit codes:
  0    done
  1    a check found something wrong (doctor, audit verify, evidence verify)
  2    the command line is wrong, or asks for what cannot be had now
  3    no app is running
  64   this machine cannot run the VM
  65   kernel, rootfs or settings are invalid
  66   another error of the VM's life
  67   the guest cannot be reached
  68   a reset's verification diverged: degraded
  69   timed out
  70   a bug
  exec ends with the tool's own code, or 124 at the deadline, 125 when the
  sandbox failed, 127 for an unknown tool, 130 when interrupted.`

export function exitCodeOf(error: BsmError): number {
  if (error instanceof AppNotRunningError) return EXIT_CODE.noApp
  switch (error.code) {
    case 'BAD_REQUEST':
      return EXIT_CODE.usage
    case 'EVIDENCE_GAP':
    case 'EVIDENCE_DUPLICATE':
    case 'EVIDENCE_OUT_OF_ORDER':
    case 'EVIDENCE_MISMATCH':
      return EXIT_CODE.finding
    default:
      return exitCodeFor(error.code)
  }
}
