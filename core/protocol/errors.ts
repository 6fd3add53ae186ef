import * as z from 'zod'

/** The closed set of error codes (§2). */
export const ErrorCode = z.enum([
  /** [ours] This machine cannot run the VM: what `preflight` rejects. */
  'PREFLIGHT_FAILED',
  'BOOT_CONFIG_INVALID',
  'VM_LIFECYCLE_ERROR',
  'GUEST_UNREACHABLE',
  'SANDBOX_TOOL_TIMEOUT',
  'TOOL_NOT_REGISTERED',
  'BAD_REQUEST',
  'BUSY',
  'OUTPUT_LIMIT',
  'RESET_FAILED',
  'RESET_VERIFICATION_DIVERGENCE',
  'RESET_VERIFICATION_TIMEOUT',
  'EVIDENCE_GAP',
  'EVIDENCE_DUPLICATE',
  'EVIDENCE_OUT_OF_ORDER',
  'EVIDENCE_MISMATCH',
  'FRAME_TOO_LARGE',
  'FRAME_MALFORMED',
  'FAST_SNAPSHOT_UNAVAILABLE',
  'SNAPSHOT_CORRUPT',
  'SNAPSHOT_INCOMPATIBLE',
  'IMAGE_MISMATCH',
  'TIMEOUT',
  'CANCELLED',
  'DEGRADED',
  'UNAUTHORIZED',
  'INTERNAL_BUG',
])
export type ErrorCode = z.infer<typeof ErrorCode>

/** Which part failed: the first thing a person asks. */
export const Layer = z.enum(['app', 'helper', 'hypervisor', 'guest', 'agent'])
export type Layer = z.infer<typeof Layer>

/** An error on the wire. `code` and `message` are fixed by the contract, the rest is ours. */
export const WireError = z.object({
  code: ErrorCode,
  /** One sentence for a person. */
  message: z.string(),
  layer: Layer.optional(),
  /** What to do next, one sentence. */
  next_step: z.string().optional(),
  /** The raw cause, for a bug report. */
  details: z.string().optional(),
})
export type WireError = z.infer<typeof WireError>

/** Exit codes of the helper (§1). */
export const EXIT = {
  ok: 0,
  preflightFailed: 64,
  bootConfigInvalid: 65,
  vmLifecycle: 66,
  guestUnreachable: 67,
  divergence: 68,
  timedOut: 69,
  internalBug: 70,
} as const

/** The exit code with which a helper ends because of an error of this code (§1). */
export function exitCodeFor(code: ErrorCode): number {
  switch (code) {
    case 'PREFLIGHT_FAILED':
      return EXIT.preflightFailed
    case 'BOOT_CONFIG_INVALID':
    case 'IMAGE_MISMATCH':
      return EXIT.bootConfigInvalid
    case 'GUEST_UNREACHABLE':
      return EXIT.guestUnreachable
    case 'RESET_VERIFICATION_DIVERGENCE':
    case 'DEGRADED':
      return EXIT.divergence
    case 'TIMEOUT':
    case 'SANDBOX_TOOL_TIMEOUT':
    case 'RESET_VERIFICATION_TIMEOUT':
      return EXIT.timedOut
    case 'INTERNAL_BUG':
      return EXIT.internalBug
    default:
      return EXIT.vmLifecycle
  }
}

/** What an error says at most, in UTF-16 units: parts of it may be a guest's words. */
const TEXT_UNITS = 2048

/** A text cut to `units` with an ellipsis at the cut, no character split. */
export function clip(text: string, units: number = TEXT_UNITS): string {
  if (text.length <= units) return text
  const kept = text.slice(0, units - 1)
  return `${/[\ud800-\udbff]$/.test(kept) ? kept.slice(0, -1) : kept}…`
}

/** An error that knows its code, layer and next step; travels as {@link WireError}. */
export class BsmError extends Error {
  override readonly name: string = 'BsmError'
  readonly code: ErrorCode
  readonly layer: Layer
  readonly nextStep: string | undefined
  constructor(
    code: ErrorCode,
    layer: Layer,
    message: string,
    options: { nextStep?: string; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.layer = layer
    this.nextStep = options.nextStep
  }

  toWire(): WireError {
    return {
      code: this.code,
      message: clip(this.message),
      layer: this.layer,
      ...(this.nextStep === undefined ? {} : { next_step: this.nextStep }),
      ...(this.cause === undefined ? {} : { details: clip(String(this.cause)) }),
    }
  }

  static fromWire(error: WireError): BsmError {
    return new BsmError(error.code, error.layer ?? 'helper', error.message, {
      ...(error.next_step === undefined ? {} : { nextStep: error.next_step }),
      ...(error.details === undefined ? {} : { cause: error.details }),
    })
  }

  /** Anything thrown, as a BsmError; what is not one already is an internal bug of `layer`. */
  static from(thrown: unknown, layer: Layer): BsmError {
    if (thrown instanceof BsmError) return thrown
    const message = thrown instanceof Error ? thrown.message : String(thrown)
    return new BsmError('INTERNAL_BUG', layer, message, { cause: thrown })
  }
}
