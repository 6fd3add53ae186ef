import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { randomUUID } from 'node:crypto'
import { whenApp } from '../../support/app.ts'
import { until } from '../../support/deadline.ts'
import { openFiles, residentBytes } from '../../support/processes.ts'
import type { RawPeer } from '../../support/raw-peer.ts'
import type { AppVisit } from '../app-stage.ts'
import { must } from '../../gates/broken.ts'
import type { Probe } from '../probe.ts'
import {
  attack,
  CLINGING,
  DEAF,
  exec,
  GROWTH_BYTES,
  HANG_UP_MS,
  MIB,
  mustBeVerified,
  mustServe,
  ONE_AT_A_TIME,
  pidOf,
  seen,
  TWICE,
} from './agent-attack.ts'

/** Agents that flood, crowd and vanish: the others are served, and the app is as it was. */

// ---------------------------------------------------------------- crowds

const HALF_OPEN = 200
const CROWD = 1000
/** Of one client; of all at one socket. */
const AT_MOST = { client: 8, socket: 256 } as const

const descriptors = (app: AppVisit): number => openFiles(pidOf(app)).length

async function mustGiveBack(app: AppVisit, before: number): Promise<string> {
  await until(HANG_UP_MS, `the app to have ${before} descriptors again`, () => descriptors(app) <= before)
  return `${before} descriptors before and after`
}

const crowds: readonly Probe[] = [
  attack(
    'half-open',
    `${HALF_OPEN} connections that say nothing keep nobody out, and are hung up on.`,
    ONE_AT_A_TIME,
    async (app) => {
      const silent = await Promise.all(Array.from({ length: HALF_OPEN }, () => app.peer()))
      await mustServe(app)
      for (const peer of silent) must(await peer.isHungUp(HANG_UP_MS), 'one was not hung up on')
    },
  ),
  attack(
    'thousand-connections',
    `${CROWD} connections and as many of one client as it may have keep nobody out; their descriptors come back.`,
    DEAF,
    async (app) => {
      const before = descriptors(app)
      const credentials = await app.client()
      const crowd: RawPeer[] = []
      for (let n = 0; n < AT_MOST.client; n += 1) crowd.push(await app.peer(credentials))
      const one = await app.peer()
      const refused = await one.hello(credentials)
      must(refused?.error?.code === 'BUSY', `one more than it may have was answered ${seen(refused)}`)
      for (let n = 0; n < CROWD; n += 1) crowd.push(await app.peer())
      await mustServe(app)
      for (const peer of [one, ...crowd]) peer.end()
      return await mustGiveBack(app, before)
    },
  ),
  attack(
    'all-connections',
    `${AT_MOST.socket} connections of many clients, which is all there are, keep out neither a person nor who is in.`,
    DEAF,
    async (app) => {
      const before = descriptors(app)
      const inside = await app.peer(await app.client())
      const crowd: RawPeer[] = []
      while (crowd.length < AT_MOST.socket - 1) {
        const credentials = await app.client()
        const peers = Array.from({ length: AT_MOST.client }, () => app.peer(credentials))
        // Those that are too many find no place: that is for the socket to say, not for us.
        const come = await Promise.allSettled(peers)
        crowd.push(...come.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])))
        if (come.some(({ status }) => status === 'rejected')) break
      }
      mustBeVerified(await inside.ask('exec', exec('true'), 60_000))
      must((await app.person.exec('echo', { text: 'x' })).exit_code === 0, 'a person was not served')
      for (const peer of [inside, ...crowd]) peer.end()
      const held = crowd.length + 1
      must(held >= AT_MOST.socket - AT_MOST.client, `only ${held} came in`)
      return `${held} came in; ${await mustGiveBack(app, before)}`
    },
  ),
  attack(
    'request-flood',
    'Who sends thousands of requests at once gets one answer to each, a refusal if need be, and others are served.',
    TWICE,
    async (app) => {
      const peer = await app.peer(await app.client())
      const ids = Array.from({ length: 5_000 }, () => randomUUID())
      await peer.send(ids.map((request_id) => `${JSON.stringify({ kind: 'status', request_id })}\n`).join(''))
      await mustServe(app)
      // Whatever was said too often has come before this is answered.
      await peer.ask('status')
      const answered = new Map<unknown, number>()
      for (const { request_id } of peer.heard) answered.set(request_id, (answered.get(request_id) ?? 0) + 1)
      const wrong = ids.filter((id) => answered.get(id) !== 1).length
      must(wrong === 0, `${wrong} of ${ids.length} were not answered just once`)
    },
  ),
]

// ---------------------------------------------------------------- dispatches

const ROUNDS = 3
const FLOOD = 'dd if=/dev/zero bs=65536 count=512 2>/dev/null'

/** Sends its lines, prints what it hears, and waits to be killed. */
const CLIENT = `const [path, ...lines] = process.argv.slice(1)
require('node:net').connect(path).on('connect', function () { this.write(lines.join('\\n') + '\\n') }).pipe(process.stdout)`

async function mustEnd(app: AppVisit, commandId: string, code: string): Promise<void> {
  const { dispatches } = await whenApp(
    app.person,
    'the end of the dispatch',
    ({ dispatches: all }) =>
      all.some(({ command_id, state }) => command_id === commandId && state === 'done'),
    HANG_UP_MS * 2,
  )
  const record = dispatches.find(({ command_id }) => command_id === commandId)
  must(record?.error?.code === code, `it ended with ${seen(record?.error)}`)
  must(record.reset_passed === true, 'it was not wiped')
}

const dispatches: readonly Probe[] = [
  attack(
    'racing',
    'Two agents that dispatch at the same moment each get one answer, their own, after a wipe of its own.',
    TWICE,
    async (app) => {
      const peers = [await app.peer(await app.client()), await app.peer(await app.client())]
      const heads = new Set<unknown>()
      for (let round = 0; round < ROUNDS; round += 1) {
        const ids = peers.map((peer, i) => peer.request('exec', exec(`echo ${round}-${i}`)))
        for (const [i, peer] of peers.entries()) {
          const answer = await peer.hear('its answer', ({ request_id }) => request_id === ids[i])
          mustBeVerified(answer)
          must(answer['stdout'] === `${round}-${i}\n`, `it got ${seen(answer)}`)
          heads.add(answer['audit_head'])
          await peer.ask('status')
          const times = peer.answersTo(ids[i] ?? '').length
          must(times === 1, `it was answered ${times} times`)
        }
      }
      must(heads.size === ROUNDS * peers.length, 'two stand in one entry of the audit log')
    },
  ),
  attack(
    'killed-client',
    'When a client is killed in the middle of its dispatch, it ends, the VM is wiped, and the next one runs.',
    DEAF,
    async (app) => {
      const call = exec('touch /tmp/mine; echo touched; sleep 600', undefined, 600_000)
      const asked = [
        { kind: 'hello', ...(await app.client()) },
        { kind: 'subscribe' },
        { kind: 'exec', ...call },
      ].map((one) => JSON.stringify({ request_id: randomUUID(), ...one }))
      const child = spawn(process.execPath, ['-e', CLIENT, await app.door('agent'), ...asked], {
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      let heard = ''
      child.stdout.on('data', (chunk: Buffer) => (heard += chunk.toString('utf8')))
      try {
        await until(HANG_UP_MS * 2, 'what the tool prints', () => heard.includes('"exec_output"'))
      } finally {
        child.kill('SIGKILL')
        await once(child, 'exit')
      }
      await mustEnd(app, call.command_id, 'CANCELLED')
      const { sandbox } = await app.agent()
      const next = await sandbox.exec('sh', { command: 'ls /tmp' })
      must(next.exit_code === 0 && !next.stdout.includes('mine'), `the next one saw ${seen(next)}`)
    },
  ),
  attack(
    'half-closed',
    'Who closes its side in the middle of its dispatch or of a line is hung up on, and its dispatch ends.',
    DEAF,
    async (app) => {
      const [inLine, inDispatch] = [await app.peer(await app.client()), await app.peer(await app.client())]
      const call = exec('sleep 600', undefined, 600_000)
      inDispatch.request('exec', call)
      await app.running(call.command_id)
      inDispatch.socket.end()
      must(await inDispatch.isHungUp(HANG_UP_MS), 'who ended in its dispatch was not hung up on')
      await mustEnd(app, call.command_id, 'CANCELLED')
      inLine.socket.end('{"kind":"exec","request_id":')
      must(await inLine.isHungUp(HANG_UP_MS), 'who ended in a line was not hung up on')
      await mustServe(app)
    },
  ),
  attack(
    'never-reads',
    'Who has a tool flood and does not read is hung up on, its dispatch ends, and the app does not grow with it.',
    CLINGING,
    async (app) => {
      const peer = await app.peer(await app.client())
      await peer.ask('subscribe')
      const before = residentBytes(pidOf(app))
      const call = exec(FLOOD)
      peer.request('exec', call)
      peer.socket.pause()
      await app.running(call.command_id)
      await app.person.status()
      await mustEnd(app, call.command_id, 'CANCELLED')
      const grown = residentBytes(pidOf(app)) - before
      must(grown < GROWTH_BYTES, `the app grew by ${Math.round(grown / MIB)} MiB`)
      peer.socket.resume()
      must(await peer.isHungUp(HANG_UP_MS), 'it was not hung up on')
      await mustServe(app)
    },
  ),
]

export const CROWDS: readonly Probe[] = [...crowds, ...dispatches]
