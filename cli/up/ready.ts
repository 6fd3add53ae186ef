import type { AppSnapshot } from '../../core/protocol/index.ts'
import { escapeLine } from '../format/escape.ts'
import { duration } from '../format/units.ts'

/** What `bsm up` prints once it can be used: to scripts the same facts as to people. */
export type Ready = {
  /** Fresh address of the page, good once and for 60 s; null without a page. */
  url: string | null
  agent_socket: string
  snapshot: AppSnapshot
}

/** The one line on stdout. */
export function readyLine({ url, agent_socket: socket, snapshot }: Ready): string {
  return `Brainstorm Sandbox is ${condition(snapshot)}: ${url ?? socket}${facts(snapshot)}`
}

export function readyJson({ url, agent_socket, snapshot }: Ready): object {
  const { state, message, helper } = snapshot
  return {
    url,
    agent_socket,
    state,
    message,
    backend: helper?.backend ?? null,
    accelerator: helper?.accelerator ?? null,
    boot_path: helper?.boot_path ?? null,
    boot_ms: helper?.boot_ms ?? null,
  }
}

function condition({ state }: AppSnapshot): string {
  switch (state) {
    case 'degraded':
      return 'degraded'
    case 'failed':
    case 'stopped':
    case 'stopping':
      return 'up without a VM'
    case 'starting':
      return 'starting'
    case 'ready':
    case 'dispatching':
    case 'resetting':
      return 'ready'
  }
}

function facts({ helper }: AppSnapshot): string {
  if (helper === null) return ''
  const boot =
    helper.boot_path === null || helper.boot_ms === null
      ? ''
      : `, ${helper.boot_path} in ${duration(helper.boot_ms)}`
  return `  (${helper.backend}, ${helper.accelerator}${boot})`
}

/** What a person should know beside the ready line. */
export function readyNotes({ degraded, error }: AppSnapshot): string[] {
  if (degraded !== null)
    return [
      `Dispatches are refused: ${escapeLine(degraded.message)} (${degraded.code})`,
      'next: `bsm recover --reason TEXT`',
    ]
  if (error === null) return []
  const next = error.next_step === undefined ? [] : [`next: ${escapeLine(error.next_step)}`]
  return [`bsm: ${escapeLine(error.message)} (${error.code}, ${error.layer ?? 'app'})`, ...next]
}
