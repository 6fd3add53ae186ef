import { useId, type ReactNode } from 'react'

/** One subject of the page: a heading, what belongs beside it, and its content. */
export function Panel(props: { title: string; aside?: ReactNode; className?: string; children: ReactNode }) {
  const id = useId()
  return (
    <section className={`panel ${props.className ?? ''}`} aria-labelledby={id}>
      <div className="panel-head">
        <h2 id={id}>{props.title}</h2>
        {props.aside !== undefined && <div className="panel-aside">{props.aside}</div>}
      </div>
      {props.children}
    </section>
  )
}

/** What a section says while it has nothing to show. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children !== undefined && <p>{children}</p>}
    </div>
  )
}
