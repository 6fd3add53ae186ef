import { useMemo } from 'react'
import { visibleLine } from '../format/hostile.ts'
import { milliseconds } from '../format/numbers.ts'
import { EvidenceLine } from '../dispatches/evidence-line.tsx'
import { outcomeOf } from '../dispatches/outcome.ts'
import { ErrorNote } from '../parts/error-note.tsx'
import { MachineTag } from '../parts/machine-tag.tsx'
import { Mark } from '../parts/mark.tsx'
import { OutputView, type Piece } from '../parts/output-view.tsx'
import type { AgentExecResponse, OutputStream, SandboxResetState } from '../protocol.ts'
import { cancel, EMPTY_OUTPUT, useStore } from '../store/index.ts'

/** What became of the tool that was run here: its output as it comes, then the result and the wipe. */
export function RunResult() {
  const run = useStore((state) => state.run)
  switch (run.kind) {
    case 'idle':
      return null
    case 'running':
      return <Running commandId={run.commandId} tool={run.tool} />
    case 'failed':
      return <ErrorNote error={run.error} />
    case 'done':
      return <Done response={run.response} tool={run.tool} />
  }
}

function Running({ commandId, tool }: { commandId: string; tool: string }) {
  const live = useStore((state) => state.outputs[commandId]) ?? EMPTY_OUTPUT
  const stage = useStore(
    (state) => state.snapshot?.dispatches.find((record) => record.command_id === commandId)?.state,
  )
  const words =
    stage === 'queued' ? 'Waiting for its turn' : stage === 'resetting' ? 'Wiping the VM' : 'Running'
  return (
    <div className="result">
      <div className="result-head">
        <p className="inline-mark strong" role="status">
          <Mark shape={stage === 'resetting' ? 'loop' : 'play'} tone="busy" /> {words}
        </p>
        <button type="button" className="button small" onClick={() => void cancel(commandId)}>
          Cancel
        </button>
      </div>
      {live.segments.length > 0 && (
        <OutputView pieces={live.segments} dropped={live.dropped} label={`Live output of ${tool}`} />
      )}
    </div>
  )
}

function Done({ response, tool }: { response: AgentExecResponse; tool: string }) {
  const pieces = useMemo(() => piecesOf(response), [response])
  const reset = response.sandbox_reset_state
  const outcome = outcomeOf({
    state: 'done',
    exit_code: response.exit_code,
    error: response.error ?? null,
    reset_passed: reset?.verification_passed ?? null,
  })
  return (
    <div className="result">
      <div className="result-head">
        <p className="inline-mark strong" role="status">
          <Mark shape={outcome.shape} tone={outcome.tone} />
          <span>
            <code>{visibleLine(tool)}</code> {outcome.word}
          </span>
        </p>
        <MachineTag />
      </div>
      {response.error !== undefined && <ErrorNote error={response.error} />}
      {pieces.length > 0 ? (
        <OutputView pieces={pieces} label={`Output of ${tool}`} />
      ) : (
        <p className="quiet-text">It wrote nothing.</p>
      )}
      <dl className="figures small">
        {response.duration_ms !== undefined && <Figure term="Ran for" ms={response.duration_ms} />}
        <Figure term="Queued" ms={response.queued_ms} />
        {reset !== null && <Figure term="Wipe took" ms={reset.reset_ms} />}
      </dl>
      {reset !== null && <Wipe reset={reset} />}
      <EvidenceLine commandId={response.command_id} hash={response.evidence_hash} />
    </div>
  )
}

const Figure = ({ term, ms }: { term: string; ms: number }) => (
  <div className="figure">
    <dt>{term}</dt>
    <dd>{milliseconds(ms)}</dd>
  </div>
)

function Wipe({ reset }: { reset: SandboxResetState }) {
  if (reset.error !== undefined) return <ErrorNote error={reset.error} />
  return (
    <p className="inline-mark">
      <Mark
        shape={reset.verification_passed ? 'check' : 'cross'}
        tone={reset.verification_passed ? 'ok' : 'bad'}
        size={14}
      />
      {reset.verification_passed
        ? 'The VM it ran in was wiped, and the wipe verified.'
        : 'The wipe was not verified.'}
    </p>
  )
}

function piecesOf(response: AgentExecResponse): Piece[] {
  const piece = (stream: OutputStream, text: string): Piece[] =>
    text === ''
      ? []
      : [{ stream, text: response.encoding?.[stream] === 'base64' ? `[not text; base64]\n${text}` : text }]
  return [...piece('stdout', response.stdout), ...piece('stderr', response.stderr)]
}
