import type { ReactNode } from 'react'
import { visible } from '../format/hostile.ts'
import { Mark } from '../parts/mark.tsx'
import type { AppState } from '../protocol.ts'
import { resetVm, startVm, stopVm, useStore, type PendingAction } from '../store/index.ts'
import { CAN, LOOKS, NOT_CONNECTED } from './states.ts'

/** Where the page itself says why, in full: the app's own sentence would be said twice, and cut off here. */
const SAID_BELOW: Partial<Record<AppState, string>> = {
  failed: 'Why, and what can be done, stands below.',
  degraded: 'Dispatches are refused until a person decides.',
}

/** What the sandbox is doing, in a word and a sentence, what one can do about it, and where one can look. */
export function Header({ children }: { children: ReactNode }) {
  const connected = useStore((state) => state.connection.kind === 'open')
  const state = useStore((store) => store.snapshot?.state)
  const message = useStore((store) => store.snapshot?.message)
  const queued = useStore((store) => store.snapshot?.queue_length ?? 0)
  const look = connected && state !== undefined ? LOOKS[state] : NOT_CONNECTED
  const sentence = !connected
    ? 'What the sandbox does now is not known to this page.'
    : visible((state === undefined ? undefined : SAID_BELOW[state]) ?? message ?? 'Asking the app how it is.')
  return (
    <header className="top">
      <h1 className="brand">
        <Glyph />
        <span className="brand-name">Brainstorm Sandbox</span>
      </h1>
      <div className="state">
        <Mark shape={look.shape} tone={look.tone} size={30} />
        <div>
          <p className="state-word">
            {look.word}
            {connected && queued > 0 && <span className="tag">{queued} waiting</span>}
          </p>
          <p className="state-message">{sentence}</p>
        </div>
      </div>
      <Actions />
      {children}
      <p className="sr-only" role="status">
        {look.word}. {sentence}
      </p>
    </header>
  )
}

function Actions() {
  const state = useStore((store) => (store.connection.kind === 'open' ? store.snapshot?.state : undefined))
  const pending = useStore((store) => store.pending)
  if (state === undefined) return null
  return (
    <div className="actions" role="group" aria-label="Sandbox">
      {CAN.start.has(state) ? (
        <Action name="start" word="Start" act={startVm} pending={pending} primary />
      ) : (
        <>
          <Action name="reset" word="Reset" act={resetVm} pending={pending} enabled={CAN.reset.has(state)} />
          <Action name="stop" word="Stop" act={stopVm} pending={pending} enabled={CAN.stop.has(state)} />
        </>
      )}
    </div>
  )
}

function Action(props: {
  name: PendingAction
  word: string
  act: () => Promise<boolean>
  pending: ReadonlySet<PendingAction>
  enabled?: boolean
  primary?: boolean
}) {
  const busy = props.pending.has(props.name)
  return (
    <button
      type="button"
      className={props.primary === true ? 'button primary' : 'button'}
      disabled={props.enabled === false}
      aria-disabled={busy}
      onClick={() => {
        if (!busy) void props.act()
      }}
    >
      {props.word}
      {busy && <span className="dots" aria-hidden="true" />}
    </button>
  )
}

function Glyph() {
  return (
    <svg width="18" height="18" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect x="2" y="2" width="28" height="28" rx="8" className="glyph-ground" />
      <path d="M8.5 12.5 16 8.5l7.5 4v7L16 23.5l-7.5-4z" className="glyph-line" />
      <path d="m12.6 16 2.4 2.4 4.4-4.6" className="glyph-line" />
    </svg>
  )
}
