import { useRef, type KeyboardEvent } from 'react'
import type { ViewId } from './views.ts'

export const tabId = (view: ViewId): string => `tab-${view}`
export const panelId = (column: number, slot: number): string => `panel-${column}-${slot}`

/** Chooses a view; arrow keys move and choose, as in the platform's own tabs. */
export function Tabs(props: {
  views: readonly { id: ViewId; title: string }[]
  /** Ids of the panels of a view. */
  panels: (view: ViewId) => string
  chosen: ViewId
  choose: (view: ViewId) => void
}) {
  const { views, chosen, choose } = props
  const list = useRef<HTMLDivElement>(null)
  const onKeyDown = (event: KeyboardEvent) => {
    const at = views.findIndex((view) => view.id === chosen)
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: views.length - 1 }[event.key]
    if (to === undefined) return
    event.preventDefault()
    const next = (to + views.length) % views.length
    const view = views[next]
    if (view !== undefined) choose(view.id)
    list.current?.querySelectorAll<HTMLElement>('[role=tab]')[next]?.focus()
  }
  return (
    <div className="tabs" role="tablist" aria-label="Views" ref={list} onKeyDown={onKeyDown}>
      {views.map((view) => (
        <button
          key={view.id}
          type="button"
          role="tab"
          id={tabId(view.id)}
          aria-controls={props.panels(view.id)}
          aria-selected={view.id === chosen}
          tabIndex={view.id === chosen ? 0 : -1}
          onClick={() => choose(view.id)}
        >
          {view.title}
        </button>
      ))}
    </div>
  )
}
