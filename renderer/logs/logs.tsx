import { memo, useDeferredValue, useLayoutEffect, useMemo, useRef, useState, type UIEvent } from 'react'
import { Switch } from '@base-ui/react/switch'
import { ToggleGroup } from '@base-ui/react/toggle-group'
import { Toggle } from '@base-ui/react/toggle'
import { visibleLine } from '../format/hostile.ts'
import { clockTime, count } from '../format/numbers.ts'
import { CopyButton } from '../parts/copy-button.tsx'
import { ErrorNote } from '../parts/error-note.tsx'
import { Empty, Panel } from '../parts/panel.tsx'
import { Waiting } from '../parts/waiting.tsx'
import type { LogSource } from '../protocol.ts'
import { canReachBack, highlighted, matching, type HeldLine, type LogBuffer } from './log-buffer.ts'
import { useLog } from './use-log.ts'

const SOURCES: readonly { source: LogSource; title: string; empty: string }[] = [
  { source: 'app', title: 'App & helper', empty: 'The app writes here what it and its helper do.' },
  { source: 'console', title: 'Guest console', empty: 'What the guest’s kernel and init say appears here.' },
  { source: 'audit', title: 'Audit', empty: 'Every dispatch, reset and decision is recorded here.' },
]
/** Nearer to the end than this, in pixels, a person means to stay there. */
const AT_END = 24

export function Logs() {
  const [source, setSource] = useState<LogSource>('app')
  const [query, setQuery] = useState('')
  const [following, setFollowing] = useState(true)
  return (
    <Panel title="Logs" className="logs">
      <div className="log-tools">
        <ToggleGroup
          className="segments"
          aria-label="Which log"
          value={[source]}
          onValueChange={(values) => {
            const next = SOURCES.find((candidate) => candidate.source === values[0])
            if (next !== undefined) setSource(next.source)
          }}
        >
          {SOURCES.map((one) => (
            <Toggle key={one.source} value={one.source} className="segment">
              {one.title}
            </Toggle>
          ))}
        </ToggleGroup>
        <input
          type="search"
          className="input log-search"
          placeholder="Search"
          aria-label="Search this log"
          autoComplete="off"
          spellCheck={false}
          value={query}
          onChange={(event) => setQuery(event.target.value)}
        />
        <label className="switch-line">
          <Switch.Root className="switch-root" checked={following} onCheckedChange={setFollowing}>
            <Switch.Thumb className="switch-thumb" />
          </Switch.Root>
          Follow
        </label>
      </div>
      <Log key={source} source={source} query={query} following={following} />
    </Panel>
  )
}

function Log({ source, query, following }: { source: LogSource; query: string; following: boolean }) {
  const { reading, live, reachBack, again } = useLog(source, following)
  switch (reading.kind) {
    case 'loading':
      return <Waiting>Reading the log.</Waiting>
    case 'failed':
      return (
        <>
          <ErrorNote error={reading.error} />
          <p>
            <button type="button" className="button" onClick={again}>
              Try again
            </button>
          </p>
        </>
      )
    case 'reading':
      return (
        <>
          {reading.error !== null && <ErrorNote error={reading.error} />}
          <Lines
            buffer={reading.buffer}
            source={source}
            query={query}
            live={live}
            reachingBack={reading.reachingBack}
            reachBack={() => void reachBack()}
          />
        </>
      )
  }
}

function Lines(props: {
  buffer: LogBuffer
  source: LogSource
  query: string
  live: boolean
  reachingBack: boolean
  reachBack: () => void
}) {
  const { buffer, live } = props
  const query = useDeferredValue(props.query)
  const shown = useMemo(() => matching(buffer.lines, query), [buffer, query])
  const box = useRef<HTMLDivElement>(null)
  const [atEnd, setAtEnd] = useState(true)
  useLayoutEffect(() => {
    if (atEnd && box.current !== null) box.current.scrollTop = box.current.scrollHeight
  }, [shown, atEnd])
  const onScroll = ({ currentTarget: at }: UIEvent<HTMLElement>) =>
    setAtEnd(at.scrollHeight - at.scrollTop - at.clientHeight < AT_END)
  const { title, empty } = SOURCES.find(({ source }) => source === props.source) ?? { title: '', empty: '' }
  if (buffer.lines.length === 0) return <Empty title="Nothing written yet">{empty}</Empty>
  return (
    <>
      <div
        className="log-box"
        ref={box}
        onScroll={onScroll}
        tabIndex={0}
        role="log"
        aria-live="off"
        aria-label={title}
      >
        {canReachBack(buffer) && (
          <p className="log-more">
            <button type="button" className="button quiet small" onClick={props.reachBack}>
              {props.reachingBack ? 'Reading…' : 'Show earlier lines'}
            </button>
          </p>
        )}
        {shown.length === 0 ? (
          <Empty title="No line matches">
            Of {count(buffer.lines.length)} lines, none holds these words.
          </Empty>
        ) : (
          <ol className="log-lines">
            {shown.map((line) => (
              <Line key={line.key} line={line} query={query} />
            ))}
          </ol>
        )}
      </div>
      <div className="log-foot">
        <span className="quiet-text num" role="status">
          {query.trim() === ''
            ? `${count(buffer.lines.length)} lines${live ? ', following' : ''}`
            : `${count(shown.length)} of ${count(buffer.lines.length)} lines`}
        </span>
        {!atEnd && (
          <button type="button" className="button quiet small" onClick={() => setAtEnd(true)}>
            To the end
          </button>
        )}
        <CopyButton text={() => shown.map(plainLine).join('\n')} label="Copy these lines" />
      </div>
    </>
  )
}

const Line = memo(function Line({ line, query }: { line: HeldLine; query: string }) {
  return (
    <li className={`log-line ${line.level}`}>
      {line.gap && <span className="log-gap">Lines were left out here: too many came at once.</span>}
      <time dateTime={line.at ?? undefined} title={line.at ?? undefined}>
        {line.at === null ? '' : clockTime(line.at)}
      </time>
      <span className="log-from">
        {line.level !== 'info' && line.level !== 'debug' && <span className="sr-only">{line.level}: </span>}
        {visibleLine(line.from)}
      </span>
      <span className="log-text">
        {highlighted(visibleLine(line.text), query).map((part, i) =>
          part.hit ? <mark key={i}>{part.text}</mark> : part.text,
        )}
      </span>
    </li>
  )
})

/** For the clipboard: what was hidden stays shown, since a terminal would obey it. */
const plainLine = ({ at, level, from, text }: HeldLine): string =>
  [at ?? '', level, visibleLine(from), visibleLine(text)].filter((part) => part !== '').join(' ')
