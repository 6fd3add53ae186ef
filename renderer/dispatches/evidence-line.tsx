import { visible } from '../format/hostile.ts'
import { count } from '../format/numbers.ts'
import { Digest } from '../parts/digest.tsx'
import { ErrorNote } from '../parts/error-note.tsx'
import { Mark } from '../parts/mark.tsx'
import { useStore, verifyEvidence } from '../store/index.ts'

/** The hash of a dispatch's evidence chain, and the button that has the app recompute it. */
export function EvidenceLine({ commandId, hash }: { commandId: string; hash: string | null }) {
  const check = useStore((state) => state.evidence[commandId])
  const offline = useStore((state) => state.connection.kind !== 'open')
  if (hash === null) return null
  const busy = check?.kind === 'checking'
  return (
    <div className="evidence">
      <p className="evidence-line">
        <span>Evidence</span>
        <Digest value={hash} of="evidence hash" />
        <button
          type="button"
          className="button small"
          disabled={offline}
          aria-disabled={busy}
          onClick={() => {
            if (!busy) void verifyEvidence(commandId)
          }}
        >
          {busy ? 'Verifying…' : 'Verify'}
        </button>
      </p>
      <div aria-live="polite">
        {check?.kind === 'checked' && (
          <p className="inline-mark">
            <Mark
              shape={check.verdict.ok ? 'check' : 'cross'}
              tone={check.verdict.ok ? 'ok' : 'bad'}
              size={14}
            />
            {check.verdict.ok
              ? `Recomputed from ${count(check.verdict.chunks)} chunks: the same.`
              : visible(check.verdict.message)}
          </p>
        )}
        {check?.kind === 'failed' && <ErrorNote error={check.error} />}
      </div>
    </div>
  )
}
