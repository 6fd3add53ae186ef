import type { BsmError } from '../../core/protocol/index.ts'
import { LIMITS, type AppSnapshot } from '../../core/protocol/index.ts'
import { errorReport, resetOf } from './report.ts'
import type { LastReset, StatusResult } from './schemas.ts'
import { evidenceUri } from './uri.ts'

const DISPATCHES_SHOWN = 10

const LIMITS_SHOWN: StatusResult['limits'] = {
  deadline_ms_max: LIMITS.deadlineMaxMs,
  files_bytes: LIMITS.filesBytes,
  output_bytes: LIMITS.outputBytes,
  evidence_bytes: LIMITS.evidenceBytes,
}

export function statusOf(snapshot: AppSnapshot): StatusResult {
  const { helper, degraded } = snapshot
  return {
    state: snapshot.state,
    message: snapshot.message,
    version: snapshot.version,
    backend: helper?.backend ?? null,
    accelerator: helper?.accelerator ?? null,
    image: helper?.image ? `${helper.image.recipe} ${helper.image.image_version}` : null,
    queue_length: snapshot.queue_length,
    degraded: degraded && {
      since: degraded.since,
      code: degraded.code,
      sources: degraded.sources,
      message: degraded.message,
    },
    tools: snapshot.tools,
    dispatches: snapshot.dispatches.slice(0, DISPATCHES_SHOWN).map((record) => ({
      dispatch_id: record.command_id,
      tool: record.tool,
      state: record.state,
      queued_at: record.queued_at,
      exit_code: record.exit_code,
      reset_verified: record.reset_passed,
      error_code: record.error?.code ?? null,
    })),
    limits: LIMITS_SHOWN,
    error: snapshot.error === null ? null : errorReport(snapshot.error),
  }
}

/** Nobody could be asked. */
export const noStatus = (error: BsmError): StatusResult => ({
  state: 'not_running',
  message: error.message,
  version: null,
  backend: null,
  accelerator: null,
  image: null,
  queue_length: null,
  degraded: null,
  tools: [],
  dispatches: [],
  limits: LIMITS_SHOWN,
  error: errorReport(error),
})

export function lastResetOf(snapshot: AppSnapshot): LastReset {
  const report = snapshot.resets[0] ?? snapshot.helper?.last_reset
  const own = snapshot.dispatches.find(({ state }) => state === 'done')
  return {
    reset: report ? resetOf(report) : null,
    backend: snapshot.helper?.backend ?? null,
    accelerator: snapshot.helper?.accelerator ?? null,
    evidence: own
      ? { dispatch_id: own.command_id, hash: own.evidence_hash, uri: evidenceUri(own.command_id) }
      : null,
    error: report?.error ? errorReport(report.error) : null,
  }
}

export const noLastReset = (error: BsmError): LastReset => ({
  ...{ reset: null, backend: null, accelerator: null, evidence: null, error: errorReport(error) },
})
