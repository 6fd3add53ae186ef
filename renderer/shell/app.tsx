import { useEffect } from 'react'
import { useStore } from '../store/index.ts'
import { ConnectionBanner, ConnectionScreen } from './connection.tsx'
import { Content } from './content.tsx'
import { Header } from './header.tsx'
import { Problems } from './problems.tsx'
import { LOOKS, NOT_CONNECTED } from './states.ts'
import { ViewTabs } from './tabs.tsx'

export function App() {
  const connection = useStore((state) => state.connection.kind)
  const state = useStore((store) => store.snapshot?.state)
  const known = state !== undefined && connection !== 'signed_out'
  useEffect(() => {
    const word = connection === 'open' && state !== undefined ? LOOKS[state].word : NOT_CONNECTED.word
    document.title = `${word} · Brainstorm Sandbox`
  }, [connection, state])
  return (
    <div className={known && connection !== 'open' ? 'app stale' : 'app'}>
      <Header>{known && <ViewTabs />}</Header>
      {known && <ConnectionBanner />}
      {known && <Problems />}
      {known ? <Content /> : <ConnectionScreen />}
    </div>
  )
}
