import { Suspense, useState, type ReactNode } from 'react'
import { useMedia } from '../parts/use-media.ts'
import { Waiting } from '../parts/waiting.tsx'
import { useStore } from '../store/index.ts'
import { Divergence } from '../verification/index.ts'
import { Welcome } from '../welcome/index.ts'
import { leaveWelcome, useNavigation, useWelcome } from './navigation.ts'
import { WIDE, panelId, tabId } from './tabs.tsx'
import { COLUMNS, PAGES, isPage, type PageView, type SandboxView } from './views.ts'

/** What the chosen tab stands for. A divergence, and a first run, take the sandbox's own views over. */
export function Content() {
  const view = useNavigation((state) => state.view)
  const degraded = useStore((state) => state.snapshot?.degraded ?? null)
  const welcome = useWelcome()
  return (
    <main className="content" id="content">
      {isPage(view) ? (
        <Page view={view} />
      ) : degraded !== null || welcome ? (
        <div
          className="takeover"
          id={panelId('overview')}
          role="tabpanel"
          aria-labelledby={tabId('overview')}
        >
          {degraded !== null ? <Divergence degraded={degraded} /> : <Welcome enter={leaveWelcome} />}
        </div>
      ) : (
        <Sandbox view={view} />
      )}
    </main>
  )
}

function Page({ view }: { view: PageView }) {
  const Shown = PAGES[view]
  return (
    <div className="page" id={panelId(view)} role="tabpanel" aria-labelledby={tabId(view)}>
      <Suspense fallback={<Waiting>Opening.</Waiting>}>
        <Shown />
      </Suspense>
    </div>
  )
}

/**
 * All sections at once where there is room, else one view at a time. Both are the same elements, so
 * that what was typed and opened stays when a window is made narrower.
 */
function Sandbox({ view }: { view: SandboxView }) {
  const wide = useMedia(WIDE)
  return (
    <div
      className={wide ? 'columns' : 'views'}
      id={panelId(wide ? 'overview' : view)}
      role="tabpanel"
      aria-labelledby={tabId(wide ? 'overview' : view)}
    >
      {COLUMNS.map((column, c) => (
        <div key={c} className="column">
          {column.map(({ view: own, Section }, s) => (
            <Slot key={s} shown={wide || own === view}>
              <Section />
            </Slot>
          ))}
        </div>
      ))}
    </div>
  )
}

/** Made when it is first shown, and kept from then on with what was typed and opened in it. */
function Slot({ shown, children }: { shown: boolean; children: ReactNode }) {
  const [made, setMade] = useState(shown)
  if (shown && !made) setMade(true)
  return <div hidden={!shown}>{made && children}</div>
}
