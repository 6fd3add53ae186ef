import { create } from 'zustand'
import { chooseBridge, wireErrorOf, type Answer, type Call } from '../bridge/index.ts'
import { Inbox } from './inbox.ts'
import { INITIAL, reduce, type Change, type PendingAction, type State } from './state.ts'

/** The page's one store: snapshots and events in, components out. */
export const useStore = create<State>()(() => INITIAL)

const apply = (change: Change) => useStore.setState((state) => reduce(state, change))
const bridge = chooseBridge()

/** Connects the page; once, at its start. */
export function startStore(): void {
  const inbox = new Inbox(
    apply,
    (then) => requestAnimationFrame(then),
    () => !document.hidden,
  )
  bridge.subscribe((event) => {
    inbox.take(event)
    // A session begins attended.
    if (event.type === 'connection' && event.connection.kind === 'open' && document.hidden) attend()
  })
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) inbox.seen()
    if (useStore.getState().connection.kind === 'open') attend()
  })
  bridge.connect()
}

/** Tells the app whether anybody sees the page. A page that is cut off has nobody to tell. */
function attend(): void {
  bridge.request({ action: 'attend', seen: !document.hidden }).catch(() => undefined)
}

/** Asks the app something whose answer concerns one component only. Rejects with a `RequestError`. */
export const ask = <C extends Call>(call: C): Promise<Answer<C>> => bridge.request(call)

async function act(call: Extract<Call, { action: PendingAction }>): Promise<boolean> {
  apply({ type: 'asked', action: call.action })
  try {
    await bridge.request(call)
    apply({ type: 'answered', action: call.action, error: null })
    return true
  } catch (thrown) {
    apply({ type: 'answered', action: call.action, error: wireErrorOf(thrown) })
    return false
  }
}

export const startVm = () => act({ action: 'start' })
export const stopVm = () => act({ action: 'stop' })
export const resetVm = () => act({ action: 'reset' })
export const recover = (reason: string) => act({ action: 'recover', reason })
export const cancel = (commandId: string) => act({ action: 'cancel', command_id: commandId })
export const dismissFailure = () => apply({ type: 'failure_dismissed' })

export async function runTool(
  tool: string,
  params: Extract<Call, { action: 'run' }>['params'],
  deadlineMs: number,
): Promise<void> {
  const commandId = crypto.randomUUID()
  apply({ type: 'run', run: { kind: 'running', commandId, tool } })
  try {
    const response = await bridge.request({
      action: 'run',
      command_id: commandId,
      tool,
      params,
      deadline_ms: deadlineMs,
    })
    apply({ type: 'run', run: { kind: 'done', commandId, tool, response } })
  } catch (thrown) {
    apply({ type: 'run', run: { kind: 'failed', tool, error: wireErrorOf(thrown) } })
  }
}

export async function verifyEvidence(commandId: string): Promise<void> {
  apply({ type: 'evidence', commandId, check: { kind: 'checking' } })
  try {
    const verdict = await bridge.request({ action: 'verify_evidence', command_id: commandId })
    apply({ type: 'evidence', commandId, check: { kind: 'checked', verdict } })
  } catch (thrown) {
    apply({ type: 'evidence', commandId, check: { kind: 'failed', error: wireErrorOf(thrown) } })
  }
}
