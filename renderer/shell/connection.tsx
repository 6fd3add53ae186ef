import type { ReactNode } from 'react'
import { CopyButton } from '../parts/copy-button.tsx'
import { Mark } from '../parts/mark.tsx'
import { useStore } from '../store/index.ts'

/** Stands over an old picture of the sandbox, so that nobody takes it for the present. */
export function ConnectionBanner() {
  const connection = useStore((state) => state.connection)
  const hasSnapshot = useStore((state) => state.snapshot !== null)
  if (!hasSnapshot || connection.kind === 'open' || connection.kind === 'signed_out') return null
  return (
    <div className="note warn banner" role="status">
      <Mark shape="dash" tone="warn" />
      <div className="note-body">
        <p className="note-title">The connection to the app is lost.</p>
        <p>Below is what was known before. The page connects again by itself as soon as it can.</p>
      </div>
    </div>
  )
}

/** The whole page while nothing is known yet, or nothing can be known. */
export function ConnectionScreen() {
  const connection = useStore((state) => state.connection)
  switch (connection.kind) {
    case 'signed_out':
      return (
        <Screen
          title={
            connection.reason === 'no_token' ? 'This page needs its own address' : 'This address is used up'
          }
          mark={<Mark shape="dash" tone="warn" size={40} />}
        >
          <p>
            {connection.reason === 'no_token'
              ? 'The page was opened without the secret that lets it in.'
              : 'Each address lets one page in, once, and only while the app that gave it runs.'}{' '}
            Run this in a terminal; it prints a fresh address and opens it:
          </p>
          <Command text="bsm open" />
          <p className="quiet-text">
            From a checkout: <code>npm run -s bsm -- open</code>
          </p>
        </Screen>
      )
    case 'reconnecting':
      return (
        <Screen title="The app does not answer" mark={<Mark shape="dash" tone="warn" size={40} />}>
          <p>
            The page tries again by itself. If the app is not running, start it with <code>npm start</code>{' '}
            and then run this for a fresh address:
          </p>
          <Command text="bsm open" />
        </Screen>
      )
    case 'connecting':
    case 'open':
      return (
        <Screen title="Connecting" mark={<Mark shape="arc" tone="busy" size={40} />}>
          <p>Asking the app how the sandbox is.</p>
        </Screen>
      )
  }
}

function Screen({ title, mark, children }: { title: string; mark: ReactNode; children: ReactNode }) {
  return (
    <main className="screen">
      {mark}
      <h2>{title}</h2>
      {children}
    </main>
  )
}

function Command({ text }: { text: string }) {
  return (
    <p className="command">
      <code>{text}</code>
      <CopyButton text={text} label="Copy the command" />
    </p>
  )
}
