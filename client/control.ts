import {
  BsmError,
  type AuditVerdict,
  type ClientInfo,
  type ControlResponse,
  type EvidenceVerdict,
  type SettingsPatch,
} from '../core/protocol/index.ts'
import { Sandbox, type CallOptions, type ConnectOptions } from './sandbox.ts'

const QUICK_MS = 10_000
/** A boot may be cold, and begins with a check of the whole image. */
const BOOT_MS = 300_000
const STOP_MS = 60_000
const READ_ALL_MS = 120_000

type SettingsAnswer = Extract<ControlResponse, { kind: 'settings_response' }>

/** What only a person at this machine may ask, over `control.sock` (protocol §5); beside it all an agent may. */
export class Control extends Sandbox {
  static override async connect(options: ConnectOptions & { socketPath: string }): Promise<Control> {
    const { token, client, socketPath, timeoutMs = QUICK_MS } = options
    return new Control({ token, client, socketPath }, timeoutMs).dial()
  }

  /** Starts the VM of a running app and waits until it is ready. */
  async up(options: CallOptions = {}): Promise<void> {
    await this.request({ kind: 'up' }, { timeoutMs: BOOT_MS, ...options })
  }

  /** Stops the VM; with `quit` the app too. */
  async down(quit: boolean, options: CallOptions = {}): Promise<void> {
    await this.request({ kind: 'down', quit }, { timeoutMs: STOP_MS, ...options })
  }

  /** Leaves degraded mode; the reason goes to the audit log. */
  async recover(reason: string, options: CallOptions = {}): Promise<void> {
    await this.request({ kind: 'recover', reason }, { timeoutMs: BOOT_MS, ...options })
  }

  async settings(set?: SettingsPatch, options: CallOptions = {}): Promise<SettingsAnswer> {
    return this.request(
      { kind: 'settings', ...(set === undefined ? {} : { set }) },
      { timeoutMs: QUICK_MS, ...options },
    )
  }

  async clients(options: CallOptions = {}): Promise<ClientInfo[]> {
    const body = { kind: 'clients' as const, action: { do: 'list' as const } }
    return (await this.request(body, { timeoutMs: QUICK_MS, ...options })).clients
  }

  /** The new client's token: shown once, kept by the app only as a hash. */
  async addClient(name: string, options: CallOptions = {}): Promise<string> {
    const body = { kind: 'clients' as const, action: { do: 'add' as const, name } }
    const { token } = await this.request(body, { timeoutMs: QUICK_MS, ...options })
    if (token !== undefined) return token
    throw new BsmError('INTERNAL_BUG', 'app', `the app gave no token for ${name}`)
  }

  async revokeClient(name: string, options: CallOptions = {}): Promise<ClientInfo[]> {
    const body = { kind: 'clients' as const, action: { do: 'revoke' as const, name } }
    return (await this.request(body, { timeoutMs: QUICK_MS, ...options })).clients
  }

  /** A fresh address of the page; its token works once, within 60 s. */
  async open(options: CallOptions = {}): Promise<string> {
    return (await this.request({ kind: 'open' }, { timeoutMs: QUICK_MS, ...options })).url
  }

  async verifyAudit(options: CallOptions = {}): Promise<AuditVerdict> {
    return (await this.request({ kind: 'audit_verify' }, { timeoutMs: READ_ALL_MS, ...options })).verdict
  }

  /** Recomputes the stored chain of one dispatch. */
  async verifyEvidence(commandId: string, options: CallOptions = {}): Promise<EvidenceVerdict> {
    const body = { kind: 'evidence_verify' as const, command_id: commandId }
    return (await this.request(body, { timeoutMs: READ_ALL_MS, ...options })).verdict
  }
}
