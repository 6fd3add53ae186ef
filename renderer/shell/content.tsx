import { useState } from 'react'
import { useMedia } from '../parts/use-media.ts'
import { Tabs, panelId, tabId } from './tabs.tsx'
import { COLUMNS, VIEWS, type ViewId } from './views.ts'

/**
 * All sections at once where there is room, else one view at a time. Both are the same elements, so
 * that what was typed and opened stays when a window is made narrower.
 */
export function Content() {
  const wide = useMedia('(min-width: 52rem)')
  const [view, setView] = useState<ViewId>('overview')
  return (
    <main className={wide ? 'columns' : 'views'}>
      {!wide && <Tabs views={VIEWS} panels={panelsOf} chosen={view} choose={setView} />}
      {COLUMNS.map((column, c) => (
        <div key={c} className="column">
          {column.map(({ view: own, Section }, s) => (
            <div
              key={s}
              id={panelId(c, s)}
              hidden={!wide && own !== view}
              {...(wide ? {} : { role: 'tabpanel', 'aria-labelledby': tabId(own) })}
            >
              <Section />
            </div>
          ))}
        </div>
      ))}
    </main>
  )
}

const panelsOf = (view: ViewId): string =>
  COLUMNS.flatMap((column, c) =>
    column.flatMap((slot, s) => (slot.view === view ? [panelId(c, s)] : [])),
  ).join(' ')
