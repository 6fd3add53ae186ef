import { useRef, useState, type KeyboardEvent } from 'react'
import type { View } from './views.ts'

/** One view at a time, chosen by tabs: arrow keys move, as in the platform's own. */
export function Tabs({ views }: { views: readonly View[] }) {
  const [chosen, setChosen] = useState(0)
  const list = useRef<HTMLDivElement>(null)
  const choose = (index: number) => {
    const next = (index + views.length) % views.length
    setChosen(next)
    list.current?.querySelectorAll<HTMLElement>('[role=tab]')[next]?.focus()
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const to = { ArrowRight: chosen + 1, ArrowLeft: chosen - 1, Home: 0, End: views.length - 1 }[event.key]
    if (to === undefined) return
    event.preventDefault()
    choose(to)
  }
  return (
    <main className="views">
      <div className="tabs" role="tablist" aria-label="Views" ref={list} onKeyDown={onKeyDown}>
        {views.map((view, i) => (
          <button
            key={view.id}
            type="button"
            role="tab"
            id={`tab-${view.id}`}
            aria-controls={`view-${view.id}`}
            aria-selected={i === chosen}
            tabIndex={i === chosen ? 0 : -1}
            onClick={() => setChosen(i)}
          >
            {view.title}
          </button>
        ))}
      </div>
      {views.map((view, i) => (
        <div
          key={view.id}
          role="tabpanel"
          id={`view-${view.id}`}
          aria-labelledby={`tab-${view.id}`}
          hidden={i !== chosen}
        >
          {/* The run form keeps what was typed while another view is looked at. */}
          {view.sections.map((Section, n) => (
            <Section key={n} />
          ))}
        </div>
      ))}
    </main>
  )
}
