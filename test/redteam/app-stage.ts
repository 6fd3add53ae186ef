import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Control, Sandbox } from '../../client/index.ts'
import { AuditEntry } from '../../core/audit/entry.ts'
import type { AgentExecResponse } from '../../core/protocol/index.ts'
import type { Bench } from '../conformance/context.ts'
import { AppProcess, whenApp } from '../support/app.ts'
import { until } from '../support/deadline.ts'
import { helperBinary, type Which } from '../support/helper-binary.ts'
import { RawPeer } from '../support/raw-peer.ts'
import { sabotagedScript } from '../support/sabotage.ts'
import { Scratch } from '../support/scratch.ts'
import { SocketProxy, type Credentials, type ProxyMode } from '../support/socket-proxy.ts'
import { Broken } from '../gates/broken.ts'
import type { Defect } from './probe.ts'

const SETTLED_MS = 60_000
const START_MS = 60_000

/** A client with its connection. */
export type Agent = { credentials: Credentials; sandbox: Sandbox }

type Running = { scratch: Scratch; process: AppProcess; person: Control }
type Door = 'agent' | 'control'

/** The app that probes of need `app` share, made when first needed. */
export class SharedApps {
  readonly #running = new Map<string, Promise<Running>>()

  get(name: string, make: () => Promise<Running>): Promise<Running> {
    const running = this.#running.get(name) ?? make()
    this.#running.set(name, running)
    // One that could not start is tried again.
    running.catch(() => this.#running.delete(name))
    return running
  }

  /** A probe has broken them: the next one gets new ones. */
  async close(): Promise<string[]> {
    const all = [...this.#running.values()]
    this.#running.clear()
    const found: string[] = []
    for (const one of all) {
      const running = await one.catch(() => null)
      if (running === null) continue
      await running.person.close()
      found.push(...(await running.process.dispose()), ...running.scratch.appLeftovers())
      running.scratch.remove()
    }
    return found
  }
}

/** What one probe has of apps. All it started is ended when it is over, and its remains are looked for. */
export class AppStage {
  readonly #which: Which
  readonly #bench: Bench
  readonly #defect: Partial<Defect>
  readonly #shared: SharedApps
  readonly #visits: AppVisit[] = []
  readonly #processes: AppProcess[] = []
  readonly #scratches: Scratch[] = []
  readonly #people: Control[] = []
  #visitsShared: AppVisit | null = null

  constructor(which: Which, bench: Bench, defect: Partial<Defect>, shared: SharedApps) {
    this.#which = which
    this.#bench = bench
    this.#defect = defect
    this.#shared = shared
  }

  /** The app that such probes share, ready. */
  async shared(): Promise<AppVisit> {
    if (this.#visitsShared !== null) return this.#visitsShared
    const running = await this.#shared.get(this.#defect.helper ?? '', async () => {
      const scratch = await this.#bench.goldenScratch()
      const process = await this.#launch(scratch)
      try {
        return { scratch, process: await process.ready(), person: await process.control() }
      } catch (error) {
        await process.dispose()
        scratch.remove()
        throw error
      }
    })
    return (this.#visitsShared = this.#visit(running))
  }

  /** One of its own, ready. */
  async own(env: Record<string, string> = {}): Promise<AppVisit> {
    const scratch = this.#tracked(await this.#bench.goldenScratch())
    const process = await (await this.start(scratch, env)).ready()
    return await this.visit(process)
  }

  /** Places for an app, with nothing in them. */
  ground(): Scratch {
    return this.#tracked(new Scratch())
  }

  /** Starts an app in a scratch and waits for nothing. */
  async start(scratch: Scratch, env: Record<string, string> = {}): Promise<AppProcess> {
    const process = await this.#launch(scratch, { ...env, ...this.#defect.beforeStart?.(scratch) })
    this.#processes.push(process)
    return process
  }

  /** Of an app that was started here and answers. */
  async visit(process: AppProcess): Promise<AppVisit> {
    this.#defect.afterStart?.(process.scratch)
    const person = await process.control()
    this.#people.push(person)
    return this.#visit({ scratch: process.scratch, process, person })
  }

  /** Ends all of it. Throws what it found left behind, or an app that others share and that no longer serves. */
  async end(hasFailed: boolean): Promise<void> {
    const found: string[] = []
    for (const visit of this.#visits) await visit.end()
    for (const person of this.#people) await person.close()
    // All of them first: what belongs to one that still runs is no orphan.
    for (const { child } of this.#processes) child.kill('SIGTERM')
    for (const process of this.#processes) await process.ended()
    for (const process of this.#processes) found.push(...(await process.dispose()))
    const killed = this.#processes.filter(({ child }) => child.signalCode === 'SIGKILL')
    for (const scratch of this.#scratches) {
      if (!killed.some((process) => process.scratch === scratch)) found.push(...scratch.appLeftovers())
      scratch.remove()
    }
    if (this.#visitsShared !== null) found.push(...(await this.#settle(this.#visitsShared)))
    if (found.length > 0 && !hasFailed) throw new Broken(`after the probe:\n  ${found.join('\n  ')}`)
  }

  /** An app that no longer serves is of no use to the next probe. */
  async #settle(visit: AppVisit): Promise<string[]> {
    try {
      await visit.settled()
      return []
    } catch (error) {
      return [error instanceof Error ? error.message : String(error), ...(await this.#shared.close())]
    }
  }

  async #launch(scratch: Scratch, env: Record<string, string> = {}): Promise<AppProcess> {
    const { helper } = this.#defect
    const ours = this.#which === 'vz' ? (process.env['BSM_VZ_HELPER'] ?? 'vz') : this.#which
    const BSM_HELPER =
      helper === undefined
        ? ours
        : sabotagedScript(helper, await helperBinary(this.#which), scratch.path('helper.mjs'))
    return await AppProcess.start(scratch, this.#bench.image, { env: { BSM_HELPER, ...env } })
  }

  #tracked(scratch: Scratch): Scratch {
    this.#scratches.push(scratch)
    return scratch
  }

  #visit(running: Running): AppVisit {
    const visit = new AppVisit(running, this.#defect)
    this.#visits.push(visit)
    return visit
  }
}

/** One probe at one app: its agents, and the doors by which they come in. Those lead past the probe's defect. */
export class AppVisit {
  /** Always at the app's own door. */
  readonly person: Control
  readonly process: AppProcess
  readonly scratch: Scratch
  readonly #defect: Partial<Defect>
  readonly #proxies = new Map<Door, Promise<SocketProxy>>()
  readonly #clients: string[] = []
  readonly #closing: (() => Promise<void> | void)[] = []

  constructor({ scratch, process, person }: Running, defect: Partial<Defect>) {
    this.scratch = scratch
    this.process = process
    this.person = person
    this.#defect = defect
  }

  /** Path of a socket as an agent finds it. */
  async door(which: Door): Promise<string> {
    const mode = this.#defect.socket
    const real = join(this.scratch.stateDir, `${which}.sock`)
    if (mode === undefined) return real
    // Kept before anything is awaited: many may come at once.
    const proxy = this.#proxies.get(which) ?? this.#proxy(mode, which)
    this.#proxies.set(which, proxy)
    return (await proxy).path
  }

  async #proxy(mode: ProxyMode, which: Door): Promise<SocketProxy> {
    const behind = mode === 'as-person' ? 'control' : which
    const good = behind === 'control' ? this.personCredentials() : await this.client()
    const path = this.scratch.path(`${which}.proxy`)
    return await SocketProxy.listen(mode, path, join(this.scratch.stateDir, `${behind}.sock`), good)
  }

  personCredentials(): Credentials {
    return { client: 'cli', token: this.#read('control.token').trim() }
  }

  /** A client of a new name. */
  async client(): Promise<Credentials> {
    const name = `probe-${(clients += 1)}`
    this.#clients.push(name)
    return { client: name, token: await this.person.addClient(name) }
  }

  /** A client of a new name with a connection of its own. */
  async agent(credentials?: Credentials): Promise<Agent> {
    const given = credentials ?? (await this.client())
    const sandbox = await Sandbox.connect({ ...given, socketPath: await this.door('agent') })
    this.#closing.push(() => sandbox.close())
    return { credentials: given, sandbox }
  }

  /** A person who comes in by the door, and not past it. */
  async personAtDoor(): Promise<Control> {
    const control = await Control.connect({
      ...this.personCredentials(),
      socketPath: await this.door('control'),
    })
    this.#closing.push(() => control.close())
    return control
  }

  /** A bare connection; one that has come in, when it is given credentials. */
  async peer(credentials?: Credentials, door: Door = 'agent'): Promise<RawPeer> {
    const peer = new RawPeer(await this.door(door))
    this.#closing.push(() => peer.end())
    if (credentials === undefined) return peer
    const answer = await peer.hello(credentials)
    if (answer?.['kind'] !== 'hello_response') throw new Broken(`no way in: ${JSON.stringify(answer)}`)
    return peer
  }

  /** Waits until a command runs in the guest. */
  async running(commandId: string): Promise<void> {
    await whenApp(this.person, `the start of ${commandId}`, ({ dispatches }) =>
      dispatches.some(({ command_id, state }) => command_id === commandId && state === 'running'),
    )
  }

  /** Entries of the audit log of one command. */
  audited(commandId: string): AuditEntry[] {
    return this.#read('audit.jsonl')
      .split('\n')
      .filter((line) => line.includes(commandId))
      .map((line) => AuditEntry.parse(JSON.parse(line)))
  }

  #read(name: string): string {
    return readFileSync(join(this.scratch.stateDir, name), 'utf8')
  }

  /** Waits until the app serves and nothing stirs. */
  async settled(): Promise<void> {
    await whenApp(
      this.person,
      'the app to be ready again',
      ({ state, queue_length }) => state === 'ready' && queue_length === 0,
      SETTLED_MS,
    )
  }

  async end(): Promise<void> {
    for (const close of this.#closing.reverse()) await close()
    for (const proxy of this.#proxies.values()) await (await proxy.catch(() => null))?.close()
    // An app that was ended has no clients.
    for (const name of this.#clients) await this.person.revokeClient(name).catch(() => undefined)
  }
}

let clients = 0

/** Waits until an app answers a person, or has ended; the VM may take longer. */
export async function answers(app: AppProcess): Promise<boolean> {
  const outcome = await until(START_MS, 'the app to answer or to end', async () => {
    if (app.child.exitCode !== null) return 'ended'
    try {
      await (await app.control()).close()
      return 'answers'
    } catch {
      return null
    }
  })
  if (outcome === 'ended') await app.exited
  return outcome === 'answers'
}

export const isVerified = ({ sandbox_reset_state }: AgentExecResponse): boolean =>
  sandbox_reset_state?.verification_passed === true
