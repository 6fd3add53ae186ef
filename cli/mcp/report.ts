import { isUtf8 } from 'node:buffer'
import {
  BsmError,
  type AgentExecResponse,
  type ResetReport,
  type SandboxResetState,
  type VerificationDetails,
  type WireError,
} from '../../core/protocol/index.ts'
import { outputBytes } from '../../client/index.ts'
import { clipText } from './clip.ts'
import {
  INLINE_FILE_BYTES,
  type DispatchResult,
  type ErrorReport,
  type FileResult,
  type LastReset,
  type ResetVerdict,
  type Sources,
  type StreamOutput,
} from './schemas.ts'
import { evidenceUri, fileUri, logUri } from './uri.ts'

/** What the app says, in the form in which the tools say it. */

export const errorReport = (error: BsmError | WireError): ErrorReport => {
  const { code, layer, message, nextStep } = error instanceof BsmError ? error : BsmError.fromWire(error)
  return { code, layer, message, next_step: nextStep ?? null }
}

export function sourcesOf(details: VerificationDetails): Sources {
  return {
    fs_hash: {
      agrees: details.fs_hash_match === true,
      value: details.fs_hash,
      expected: details.fs_hash_baseline,
    },
    open_fd_count: {
      agrees: details.open_fd_count !== null && details.open_fd_count === details.open_fd_count_baseline,
      value: details.open_fd_count,
      expected: details.open_fd_count_baseline,
    },
    vmm_api_state: {
      agrees: details.vmm_api_state === details.expected_vmm_api_state,
      value: details.vmm_api_state,
      expected: details.expected_vmm_api_state,
    },
  }
}

const verdictOf = (state: SandboxResetState): ResetVerdict => ({
  verified: state.verification_passed,
  reset_at: state.reset_at,
  reset_ms: state.reset_ms,
  golden_hash: state.golden_hash,
  sources: sourcesOf(state.verification_details),
})

export const resetOf = (report: ResetReport): NonNullable<LastReset['reset']> => ({
  verified: report.verification_passed,
  reset_at: report.reset_at,
  reset_path: report.reset_path,
  total_ms: report.total_ms,
  phases: report.phases,
  wipe: report.wipe,
  golden_hash: report.golden_hash,
  sources: sourcesOf(report),
  failed: report.failed,
})

type Asked = { readonly tool: string; readonly filesOut: readonly string[]; readonly maxOutputBytes: number }

/** A dispatch that the app answered. */
export function resultOf(response: AgentExecResponse, asked: Asked): DispatchResult {
  const reset = response.sandbox_reset_state
  const ran = reset !== null
  return {
    dispatch_id: response.command_id,
    tool: asked.tool,
    exit_code: ran ? response.exit_code : null,
    timed_out: response.error?.code === 'SANDBOX_TOOL_TIMEOUT',
    duration_ms: response.duration_ms ?? null,
    queued_ms: response.queued_ms,
    reset: reset === null ? null : verdictOf(reset),
    evidence: ran
      ? {
          hash: response.evidence_hash,
          uri: evidenceUri(response.command_id),
          audit_head: response.audit_head,
        }
      : null,
    error: errorOf(response),
    guest_output: {
      stdout: streamOf(response, 'stdout', asked.maxOutputBytes),
      stderr: streamOf(response, 'stderr', asked.maxOutputBytes),
      files: filesOf(response, asked.filesOut),
    },
  }
}

/** A wipe that was not verified outweighs whatever the tool did. */
function errorOf({ error, sandbox_reset_state: reset }: AgentExecResponse): ErrorReport | null {
  if (reset !== null && !reset.verification_passed)
    return errorReport(
      reset.error ?? { code: 'RESET_FAILED', layer: 'app', message: 'The wipe after it was not verified.' },
    )
  return error === undefined ? null : errorReport(error)
}

/** A dispatch of which the app said nothing: it was not running, or refused it, or went away. */
export const refusal = (tool: string, error: BsmError): DispatchResult => ({
  dispatch_id: null,
  tool,
  exit_code: null,
  timed_out: false,
  duration_ms: null,
  queued_ms: null,
  reset: null,
  evidence: null,
  error: errorReport(error),
  guest_output: { stdout: NO_OUTPUT, stderr: NO_OUTPUT, files: [] },
})

const NO_OUTPUT: StreamOutput = {
  text: '',
  encoding: 'utf-8',
  returned_bytes: 0,
  total_bytes: 0,
  truncated: false,
  log_uri: null,
}

function streamOf(response: AgentExecResponse, stream: 'stdout' | 'stderr', max: number): StreamOutput {
  const bytes = outputBytes(response, stream)
  const total = response[`${stream}_bytes`] ?? bytes.length
  const cutBefore = response.truncated?.[stream] ?? false
  const encoding = response.encoding?.[stream] ?? 'utf-8'
  // Two halves of base64 would read as one text: of bytes that are no text the beginning is kept.
  const { text, returnedBytes } =
    encoding === 'utf-8' ? clipText(bytes, max, Math.max(total, bytes.length)) : clipBytes(bytes, max)
  return {
    text,
    encoding,
    returned_bytes: returnedBytes,
    total_bytes: total,
    truncated: cutBefore || returnedBytes < bytes.length,
    log_uri: total === 0 ? null : logUri(response.command_id, stream),
  }
}

const clipBytes = (bytes: Buffer, max: number) => {
  const kept = bytes.subarray(0, max)
  return { text: kept.toString('base64'), returnedBytes: kept.length }
}

/** In the order asked for: whatever else a guest names is not looked at. */
function filesOf({ command_id: id, files = [] }: AgentExecResponse, asked: readonly string[]): FileResult[] {
  let room = INLINE_FILE_BYTES
  return asked.map((path, number) => {
    const file = files.find((candidate) => candidate.path === path)
    if (file === undefined) return failedFile(path, 'it did not come back')
    if ('error' in file) return failedFile(path, file.error)
    const bytes = Buffer.from(file.data_b64, 'base64')
    const fits = bytes.length <= room
    if (fits) room -= bytes.length
    const encoding = isUtf8(bytes) ? 'utf-8' : 'base64'
    return {
      path,
      mode: file.mode,
      size: bytes.length,
      encoding,
      content: fits ? bytes.toString(encoding === 'utf-8' ? 'utf8' : 'base64') : null,
      uri: fileUri(id, number),
      error: null,
    }
  })
}

const failedFile = (path: string, error: string): FileResult => ({
  ...{ path, mode: null, size: null, encoding: null, content: null, uri: null, error },
})
