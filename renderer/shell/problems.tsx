import { ErrorNote } from '../parts/error-note.tsx'
import { dismissFailure, useStore } from '../store/index.ts'

/** What went wrong with the app itself, or with the last thing that was asked of it. */
export function Problems() {
  const error = useStore((state) => state.snapshot?.error ?? null)
  const failure = useStore((state) => state.failure)
  if (error === null && failure === null) return null
  return (
    <div className="problems" role="alert">
      {failure !== null && <ErrorNote error={failure.error} onDismiss={dismissFailure} />}
      {error !== null && <ErrorNote error={error} />}
    </div>
  )
}
