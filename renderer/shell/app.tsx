import { useEffect } from 'react'
import { useMedia } from '../parts/use-media.ts'
import { useStore } from '../store/index.ts'
import { Divergence } from '../verification/index.ts'
import { ConnectionBanner, ConnectionScreen } from './connection.tsx'
import { Header } from './header.tsx'
import { Problems } from './problems.tsx'
import { LOOKS, NOT_CONNECTED } from './states.ts'
import { Tabs } from './tabs.tsx'
import { COLUMNS, VIEWS } from './views.ts'

export function App() {
  const connection = useStore((state) => state.connection.kind)
  const state = useStore((store) => store.snapshot?.state)
  const degraded = useStore((store) => store.snapshot?.degraded ?? null)
  const known = state !== undefined && connection !== 'signed_out'
  useEffect(() => {
    const word = connection === 'open' && state !== undefined ? LOOKS[state].word : NOT_CONNECTED.word
    document.title = `${word} · Brainstorm Sandbox`
  }, [connection, state])
  return (
    <div className={known && connection !== 'open' ? 'app stale' : 'app'}>
      <Header />
      {known && <ConnectionBanner />}
      {known && <Problems />}
      {!known ? <ConnectionScreen /> : degraded !== null ? <Divergence degraded={degraded} /> : <Content />}
    </div>
  )
}

function Content() {
  const wide = useMedia('(min-width: 52rem)')
  if (!wide) return <Tabs views={VIEWS} />
  return (
    <main className="columns">
      {COLUMNS.map((column, i) => (
        <div key={i} className="column">
          {column.map((Section, n) => (
            <Section key={n} />
          ))}
        </div>
      ))}
    </main>
  )
}
