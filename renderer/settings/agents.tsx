import { useEffect, useId, useRef, useState, type FormEvent, type RefObject } from 'react'
import { AlertDialog } from '@base-ui/react/alert-dialog'
import { visibleLine } from '../format/hostile.ts'
import { CopyButton } from '../parts/copy-button.tsx'
import { ErrorNote } from '../parts/error-note.tsx'
import { Mark } from '../parts/mark.tsx'
import { Empty, Panel } from '../parts/panel.tsx'
import { RelativeTime } from '../parts/relative-time.tsx'
import { Waiting } from '../parts/waiting.tsx'
import type { ClientInfo, ClientsAction } from '../protocol.ts'
import { useAnswer, useStore } from '../store/index.ts'
import { nameProblem } from './client-name.ts'

/** Who may use `agent.sock`: a token for each, shown once, taken away at any time. */
export function Agents() {
  const connected = useStore((state) => state.connection.kind === 'open')
  const [asked, put] = useAnswer<{ action: 'clients'; what: ClientsAction }>()
  /** The token just made. It is nowhere else, so it stays until a person puts it away. */
  const [made, setMade] = useState<{ name: string; token: string } | null>(null)
  useEffect(() => {
    if (connected) void put({ action: 'clients', what: { do: 'list' } })
  }, [connected, put])
  /** Where the focus goes from what is not there any more. */
  const newAgent = useRef<HTMLInputElement>(null)
  const add = async (name: string): Promise<boolean> => {
    const answer = await put({ action: 'clients', what: { do: 'add', name } })
    if (answer?.token === undefined) return false
    setMade({ name, token: answer.token })
    return true
  }
  const revoke = (name: string) => {
    if (made?.name === name) setMade(null)
    void put({ action: 'clients', what: { do: 'revoke', name } })
  }
  const putAway = () => {
    setMade(null)
    newAgent.current?.focus()
  }
  const clients = asked.value?.clients ?? null
  return (
    <Panel title="Agent access">
      <p className="quiet-text">
        Each agent gets a token of its own. It can run tools and see its own dispatches, and nothing else. For
        an MCP client, <code>bsm clients add NAME --save</code> makes one and keeps it.
      </p>
      {made !== null && <Token made={made} putAway={putAway} />}
      {asked.kind === 'failed' && <ErrorNote error={asked.error} />}
      {clients === null ? (
        asked.kind === 'asking' && <Waiting>Reading the list.</Waiting>
      ) : clients.length === 0 ? (
        <Empty title="No agent has access">Name one, and hand it the token that is shown then.</Empty>
      ) : (
        <ul className="clients">
          {clients.map((client) => (
            <Client
              key={client.name}
              client={client}
              revoke={() => revoke(client.name)}
              focusAfter={newAgent}
            />
          ))}
        </ul>
      )}
      <AddClient input={newAgent} taken={clients ?? []} add={add} disabled={!connected} />
    </Panel>
  )
}

function Token({ made, putAway }: { made: { name: string; token: string }; putAway: () => void }) {
  return (
    <div className="note token" role="status">
      <Mark shape="check" tone="ok" />
      <div className="note-body">
        <p className="note-title">The token of {visibleLine(made.name)}</p>
        <p>Shown this once: the app keeps only a hash of it. If it is lost, revoke it and make another.</p>
        <p className="command">
          <code>{made.token}</code>
          <CopyButton text={made.token} label="Copy the token" />
        </p>
        <p>
          The agent connects to <code>agent.sock</code> with this name and the token.
        </p>
        <p>
          <button type="button" className="button small" onClick={putAway}>
            I have it
          </button>
        </p>
      </div>
    </div>
  )
}

function Client(props: {
  client: ClientInfo
  revoke: () => void
  focusAfter: RefObject<HTMLInputElement | null>
}) {
  const { client, revoke, focusAfter } = props
  const name = visibleLine(client.name)
  const revoked = useRef(false)
  return (
    <li className="client">
      <div>
        <p className="strong">{name}</p>
        <p className="quiet-text">
          {client.last_seen === null ? (
            'never seen'
          ) : (
            <>
              seen <RelativeTime stamp={client.last_seen} />
            </>
          )}
          , added <RelativeTime stamp={client.created_at} />
        </p>
      </div>
      <AlertDialog.Root>
        <AlertDialog.Trigger className="button small" aria-label={`Revoke ${name}`}>
          Revoke
        </AlertDialog.Trigger>
        <AlertDialog.Portal>
          <AlertDialog.Backdrop className="backdrop" />
          <AlertDialog.Popup
            className="dialog"
            finalFocus={() => (revoked.current ? focusAfter.current : true)}
          >
            <AlertDialog.Title className="dialog-title">Revoke access of {name}?</AlertDialog.Title>
            <AlertDialog.Description className="dialog-text">
              Its token stops working and its connections close at once; what it has running is cancelled.
            </AlertDialog.Description>
            <div className="form-end">
              <AlertDialog.Close className="button">Keep</AlertDialog.Close>
              <AlertDialog.Close
                className="button danger filled"
                onClick={() => {
                  revoked.current = true
                  revoke()
                }}
              >
                Revoke
              </AlertDialog.Close>
            </div>
          </AlertDialog.Popup>
        </AlertDialog.Portal>
      </AlertDialog.Root>
    </li>
  )
}

function AddClient(props: {
  input: RefObject<HTMLInputElement | null>
  taken: readonly ClientInfo[]
  add: (name: string) => Promise<boolean>
  disabled: boolean
}) {
  const { input, taken, add, disabled } = props
  const id = useId()
  const [name, setName] = useState('')
  const [tried, setTried] = useState(false)
  const problem = nameProblem(
    name,
    taken.map((client) => client.name),
  )
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setTried(true)
    if (problem !== null || !(await add(name))) return
    setName('')
    setTried(false)
  }
  return (
    <form className="add-client" onSubmit={(event) => void submit(event)} noValidate>
      <div className="field">
        <label htmlFor={id}>New agent</label>
        <input
          id={id}
          ref={input}
          className="input mono"
          placeholder="claude-code"
          autoComplete="off"
          spellCheck={false}
          value={name}
          aria-invalid={tried && problem !== null}
          aria-describedby={`${id}-error`}
          onChange={(event) => setName(event.target.value)}
        />
      </div>
      <button type="submit" className="button" disabled={disabled}>
        Give access
      </button>
      <p id={`${id}-error`} className="field-error" aria-live="polite">
        {tried && problem}
      </p>
    </form>
  )
}
