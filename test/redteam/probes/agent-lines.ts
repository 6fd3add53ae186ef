import { randomUUID } from 'node:crypto'
import { LIMITS } from '../../../core/protocol/index.ts'
import { residentBytes } from '../../support/processes.ts'
import type { Message } from '../../support/raw-peer.ts'
import { must } from '../../gates/broken.ts'
import type { Probe } from '../probe.ts'
import {
  attack,
  CLINGING,
  exec,
  GROWTH_BYTES,
  HANG_UP_MS,
  MIB,
  mustBeVerified,
  mustServe,
  ONE_AT_A_TIME,
  pidOf,
  seen,
  UNREFUSING,
} from './agent-attack.ts'

/** What is no request, or too long for one, or comes too slowly. */

const ENDLESS_MIB = 256

/** Every way of a line that is no request. */
const GARBAGE: Record<string, string | Buffer> = {
  'no JSON': 'not JSON',
  'binary noise': Buffer.from(
    Array.from({ length: 4096 }, (_, i) => (i * 167 + 13) % 256).filter((b) => b !== 10),
  ),
  'invalid UTF-8 in a request': Buffer.concat([
    Buffer.from(`{"kind":"exec","request_id":"${randomUUID()}","tool":"`),
    Buffer.from([0xff, 0xc0, 0xaf]),
    Buffer.from('"}'),
  ]),
  'a NUL': '{"kind":"status"\0}',
  'a list': '[]',
  null: 'null',
  'a number beyond all': '1e99999',
  'half a request': '{"kind":"exec","request_id":',
  'arrays a hundred thousand deep': '['.repeat(100_000) + ']'.repeat(100_000),
  'objects a hundred thousand deep': '{"a":'.repeat(100_000) + '1' + '}'.repeat(100_000),
  'a million values': `[${'0,'.repeat(1_000_000)}0]`,
  'no kind': `{"request_id":"${randomUUID()}"}`,
  'a kind of the helper': `{"kind":"shutdown","request_id":"${randomUUID()}"}`,
  'a prototype': `{"__proto__":{"kind":"status"},"request_id":"${randomUUID()}"}`,
  'an id that is no UUID': '{"kind":"status","request_id":"../../etc/passwd"}',
  'a field too many': `{"kind":"status","request_id":"${randomUUID()}","person":true}`,
  'a second hello': JSON.stringify({ kind: 'hello', request_id: randomUUID(), client: 'cli', token: 'x' }),
  'a command_id that is a path': JSON.stringify({
    kind: 'exec',
    request_id: randomUUID(),
    ...exec('true', '../../../../tmp/evidence'),
  }),
  'a deadline below zero': JSON.stringify({
    kind: 'exec',
    request_id: randomUUID(),
    ...exec('true', undefined, -1),
  }),
}

/** A refusal has no id where the line had none that could be read. */
const isRefusal = ({ kind, event }: Message): boolean =>
  kind === 'error_response' || event === 'protocol_error'

export const LINES: readonly Probe[] = [
  attack(
    'garbage',
    'A line that is no request is refused, runs nothing, and ends neither the connection nor the app.',
    UNREFUSING,
    async (app) => {
      const peer = await app.peer(await app.client())
      const before = (await app.person.status()).dispatches.length
      for (const [what, line] of Object.entries(GARBAGE)) {
        const known = peer.heard.length
        await peer.send(Buffer.concat([Buffer.from(line), Buffer.from('\n')]))
        const answer = await peer.hear(
          `a refusal of ${what}`,
          (message) => peer.heard.indexOf(message) >= known,
        )
        must(answer !== null && isRefusal(answer), `${what} was answered ${seen(answer)}`)
      }
      must((await peer.ask('status'))?.['kind'] === 'status_response', 'the connection serves no more')
      must((await app.person.status()).dispatches.length === before, 'something has run')
      return `${Object.keys(GARBAGE).length} lines`
    },
    { slice: true },
  ),
  attack(
    'garbage-before-hello',
    'Who begins with what is no hello, or is longer than one, is hung up on.',
    CLINGING,
    async (app) => {
      const noise = [...Object.values(GARBAGE), 'x'.repeat(LIMITS.helloBytes + 1), Buffer.alloc(8 * MIB, 'x')]
      for (const line of noise) {
        const peer = await app.peer()
        await peer.send(Buffer.concat([Buffer.from(line), Buffer.from('\n')]))
        must(
          await peer.isHungUp(HANG_UP_MS),
          `it was not hung up on after ${seen(line.slice(0, 40).toString())}`,
        )
      }
    },
  ),
  attack(
    'oversize-line',
    `A request of more than ${LIMITS.ndjsonLineBytes / MIB} MiB is refused and not run; the next one is served.`,
    UNREFUSING,
    async (app) => {
      const peer = await app.peer(await app.client())
      const call = exec(`true ${'x'.repeat(LIMITS.ndjsonLineBytes)}`)
      peer.request('exec', call)
      const answer = await peer.hear('a refusal', isRefusal)
      must(/longer than/.test(String(answer?.['message'])), `it was answered ${seen(answer)}`)
      must(app.audited(call.command_id).length === 0, 'it was begun')
      mustBeVerified(await peer.ask('exec', exec('true'), 60_000))
    },
  ),
  attack(
    'endless-line',
    `While a line of ${ENDLESS_MIB} MiB comes, others are served and the app does not grow with it.`,
    ONE_AT_A_TIME,
    async (app) => {
      const peer = await app.peer(await app.client())
      const before = residentBytes(pidOf(app))
      let most = before
      const block = Buffer.alloc(MIB, 'x')
      const pour = async (): Promise<void> => {
        for (let n = 0; n < ENDLESS_MIB; n += 1) {
          await peer.send(block)
          most = Math.max(most, residentBytes(pidOf(app)))
        }
      }
      await Promise.all([pour(), mustServe(app)])
      const grown = Math.round((most - before) / MIB)
      must(most - before < GROWTH_BYTES, `the app grew by ${grown} MiB`)
      await peer.send('\n')
      must((await peer.ask('status'))?.['kind'] === 'status_response', 'the connection serves no more')
      return `it grew by ${grown} MiB at most`
    },
  ),
  attack(
    'slow-line',
    'While a request comes byte by byte, others are served; once it is whole, it is served too.',
    ONE_AT_A_TIME,
    async (app) => {
      const peer = await app.peer(await app.client())
      const line = `${JSON.stringify({ kind: 'exec', request_id: randomUUID(), ...exec('echo whole') })}\n`
      const drip = async (): Promise<void> => {
        for (const byte of line) {
          await peer.send(byte)
          await app.person.status()
        }
      }
      await Promise.all([drip(), mustServe(app)])
      const answer = await peer.hear('its answer', ({ kind }) => kind === 'exec_response')
      must(answer?.['stdout'] === 'whole\n', `it got ${seen(answer)}`)
      mustBeVerified(answer)
    },
  ),
  attack(
    'slow-hello',
    'A hello that comes byte by byte is hung up on before it is whole.',
    CLINGING,
    async (app) => {
      const credentials = await app.client()
      const peer = await app.peer()
      const line = `${JSON.stringify({ kind: 'hello', request_id: randomUUID(), ...credentials })}\n`
      // All but its end, which never comes.
      for (const byte of line.slice(0, -1)) await peer.send(byte)
      must(await peer.isHungUp(HANG_UP_MS), 'it was waited for')
      must(peer.heard[0]?.event === 'protocol_error', `it was told ${seen(peer.heard)}`)
    },
  ),
]
