import { useEffect } from 'react'
import { bytes } from '../format/numbers.ts'
import { CopyButton } from '../parts/copy-button.tsx'
import { ErrorNote } from '../parts/error-note.tsx'
import { Mark, type Shape, type Tone } from '../parts/mark.tsx'
import { Panel } from '../parts/panel.tsx'
import { Prose } from '../parts/prose.tsx'
import { Waiting } from '../parts/waiting.tsx'
import type { Bundle, CheckResult, Diagnosis } from '../protocol.ts'
import { useAnswer, useStore } from '../store/index.ts'

const LOOK: Record<CheckResult['status'], { word: string; shape: Shape; tone: Tone }> = {
  ok: { word: 'fine', shape: 'check', tone: 'ok' },
  warn: { word: 'to look at', shape: 'alert', tone: 'warn' },
  fail: { word: 'wrong', shape: 'cross', tone: 'bad' },
}
const WORST_FIRST: readonly CheckResult['status'][] = ['fail', 'warn', 'ok']

/** The checks of `bsm doctor`, and the bundle for whoever helps. */
export function Diagnostics() {
  return (
    <div className="pages">
      <Checks />
      <SupportBundle />
    </div>
  )
}

function Checks() {
  const connected = useStore((state) => state.connection.kind === 'open')
  const [asked, put] = useAnswer<{ action: 'diagnose' }>()
  useEffect(() => {
    if (connected) void put({ action: 'diagnose' })
  }, [connected, put])
  const busy = asked.kind === 'asking'
  return (
    <Panel
      title="Checks"
      aside={
        <button
          type="button"
          className="button small"
          disabled={!connected}
          aria-disabled={busy}
          onClick={() => {
            if (!busy) void put({ action: 'diagnose' })
          }}
        >
          {busy && asked.value !== null ? 'Checking…' : 'Check again'}
        </button>
      }
    >
      {asked.kind === 'failed' && <ErrorNote error={asked.error} />}
      {asked.value === null
        ? busy && <Waiting>Checking this machine and the app. It takes a few seconds.</Waiting>
        : asked.kind !== 'failed' && <Findings diagnosis={asked.value} />}
    </Panel>
  )
}

function Findings({ diagnosis: { checks } }: { diagnosis: Diagnosis }) {
  const number = (status: CheckResult['status']) => checks.filter((check) => check.status === status).length
  const [wrong, doubtful] = [number('fail'), number('warn')]
  const look = LOOK[wrong > 0 ? 'fail' : doubtful > 0 ? 'warn' : 'ok']
  const sorted = WORST_FIRST.flatMap((status) => checks.filter((check) => check.status === status))
  return (
    <>
      <p className="proof-verdict" role="status">
        <Mark shape={look.shape} tone={look.tone} size={22} />
        <span>
          <strong>
            {wrong > 0
              ? `${wrong} of ${checks.length} checks failed`
              : doubtful > 0
                ? 'Nothing is broken'
                : 'Everything is fine'}
          </strong>
          <span className="under">
            {doubtful > 0 ? `${doubtful} to look at` : `${checks.length} checks`} · the same as{' '}
            <code>bsm doctor</code>
          </span>
        </span>
      </p>
      <ul className="checks">
        {sorted.map((check) => (
          <Finding key={check.id} check={check} />
        ))}
      </ul>
    </>
  )
}

function Finding({ check }: { check: CheckResult }) {
  const look = LOOK[check.status]
  return (
    <li className="check">
      <Mark shape={look.shape} tone={look.tone} />
      <div className="check-body">
        <p>
          <span className="check-title">{check.title}</span>
          <span className="sr-only"> ({look.word})</span>
        </p>
        <p className="check-message">
          <Prose text={check.message} />
        </p>
        {check.remedy !== undefined && (
          <p className="check-remedy">
            <span>
              <Prose text={check.remedy} />
            </span>
            <CopyButton text={check.remedy} label={`Copy what mends ${check.title}`} />
          </p>
        )}
      </div>
    </li>
  )
}

function SupportBundle() {
  const connected = useStore((state) => state.connection.kind === 'open')
  const [asked, put] = useAnswer<{ action: 'bundle' }>()
  const idle = asked.kind === 'asking' && asked.value === null
  const make = async () => {
    const bundle = await put({ action: 'bundle' })
    if (bundle !== null) save(bundle)
  }
  return (
    <Panel title="Support bundle">
      <p>
        A zip file for whoever helps you: the checks, what the app knows of itself, settings, and the ends of
        the logs. Tokens, keys, passwords and your home directory’s name are taken out; the output of tools is
        not in it.
      </p>
      <p className="quiet-text">
        The guest’s console is in it, and can hold anything. Read the file before you send it. In a terminal:{' '}
        <code>bsm doctor --bundle FILE</code>
      </p>
      <p>
        <button type="button" className="button" disabled={!connected} onClick={() => void make()}>
          Save bundle
        </button>
      </p>
      {asked.kind === 'failed' && <ErrorNote error={asked.error} />}
      {!idle && asked.kind === 'answered' && <Saved bundle={asked.value} />}
    </Panel>
  )
}

function Saved({ bundle }: { bundle: Bundle }) {
  return (
    <div className="saved" role="status">
      <p className="inline-mark">
        <Mark shape="check" tone="ok" size={14} /> Saved as <code>{bundle.name}</code>
      </p>
      <table className="plain">
        <thead className="sr-only">
          <tr>
            <th scope="col">File</th>
            <th scope="col">Size</th>
          </tr>
        </thead>
        <tbody>
          {bundle.files.map((file) => (
            <tr key={file.name}>
              <td>
                <code>{file.name}</code>
              </td>
              <td className="right num">{bytes(file.bytes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

/** Hands the file to the browser, or to the app's window, as any download. */
function save({ name, data_b64 }: Bundle): void {
  const data = Uint8Array.from(atob(data_b64), (char) => char.charCodeAt(0))
  const url = URL.createObjectURL(new Blob([data], { type: 'application/zip' }))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  URL.revokeObjectURL(url)
}
