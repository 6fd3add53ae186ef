import { EventEmitter } from 'node:events'
import { Duplex, PassThrough } from 'node:stream'
import type { Socket } from 'node:net'
import fc from 'fast-check'
import type { WebSocket } from 'ws'
import type { App } from '../../../core/app.ts'
import { systemClock } from '../../../core/clock.ts'
import { HelperChannel } from '../../../core/helper/channel.ts'
import { Connection } from '../../../core/local-sockets/connection.ts'
import { AgentRequest, BsmError, ControlResponse, UiMessage } from '../../../core/protocol/index.ts'
import { snapshot } from '../../../core/testing/snapshot.ts'
import { PageConnection } from '../../../core/ui-server/page-connection.ts'
import { UiCredentials } from '../../../core/ui-server/tokens.ts'
import { AGENT_REQUESTS, HELPER_MESSAGES, ID, UI_REQUESTS } from '../messages.ts'
import { changedText, cuts, pieces } from '../mutate.ts'
import { must } from '../../gates/broken.ts'
import { asProperty, type Target } from '../target.ts'

/** Both ends of a socket in one object: what is pushed in comes from the peer, what is written is kept. */
class SocketEnd extends Duplex {
  said = ''
  override _read(): void {
    // the peer pushes
  }
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.said += chunk.toString('utf8')
    done()
  }
  destroySoon(): void {
    this.end()
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const TOKEN = 'a'.repeat(43)
const hello = Buffer.from(
  `${JSON.stringify({ kind: 'hello', request_id: ID, token: TOKEN, client: 'agent' })}\n`,
)

const agent: Target = {
  id: 'agent.connection',
  promise: 'Without a hello nothing is handled; with one, every whole line gets one well-formed answer.',
  inputs: 12_000,
  property: () =>
    asProperty(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(changedText(AGENT_REQUESTS), { maxLength: 4 }),
        cuts,
        async (greets, lines, at) => {
          const socket = new SocketEnd()
          let handled = 0
          const connection = new Connection(socket as unknown as Socket, {
            authenticate: ({ token, client }) =>
              token === TOKEN && client === 'agent' ? { client, person: false } : null,
            helloResponse: (request_id) => ({
              ...{ kind: 'hello_response', request_id, ok: true },
              ...{ version: '1', backend: null, accelerator: null },
            }),
            handle: async (message) => {
              handled += 1
              const parsed = AgentRequest.safeParse(message)
              if (!parsed.success) throw new BsmError('BAD_REQUEST', 'agent', 'No.')
              return { kind: 'subscribe_response', request_id: parsed.data.request_id, ok: true }
            },
            onClosed: () => undefined,
          })
          // One line each, whatever the change put into it.
          const body = lines.map((line) =>
            Buffer.from(`${line.toString('latin1').replaceAll('\n', ' ')}\n`, 'latin1'),
          )
          const isHello = (line: Buffer) => line.includes('"hello"')
          for (const piece of pieces(Buffer.concat([...(greets ? [hello] : []), ...body]), at))
            if (!socket.destroyed) socket.push(piece)
          await settled()
          await settled()
          const answers = socket.said.split('\n').slice(0, -1)
          for (const answer of answers) {
            const value: unknown = JSON.parse(answer)
            const isEvent = (value as { kind?: unknown }).kind === 'event'
            must(isEvent || ControlResponse.safeParse(value).success, () => `an ill-formed answer: ${answer}`)
          }
          if (greets) {
            const asked = 1 + body.filter((line) => !isBlank(line)).length
            must(answers.length === asked, () => `${answers.length} answers to ${asked} lines`)
          } else if (!lines.some(isHello)) must(handled === 0, 'a request was handled before the hello')
          connection.drop()
          await settled()
        },
      ),
    ),
}

/** Passed over in silence; what is not UTF-8 is never blank. */
const isBlank = (line: Buffer): boolean => line.toString('utf8').trim() === ''

/** A WebSocket's server end as {@link PageConnection} uses it. */
class PageEnd extends EventEmitter {
  readonly OPEN = 1
  readyState = 1
  bufferedAmount = 0
  closed: number | null = null
  said: string[] = []
  send(text: string): void {
    this.said.push(text)
  }
  close(code: number): void {
    this.closed ??= code
    this.readyState = 2
  }
  terminate(): void {
    this.closed ??= 1006
  }
  ping(): void {
    // nobody answers
  }
}

const page: Target = {
  id: 'websocket.page',
  promise: 'Before a good auth nothing reaches the app and the page is hung up on; nothing throws after it.',
  inputs: 20_000,
  property: () => {
    const credentials = new UiCredentials(systemClock)
    let reached = 0
    const app = new Proxy({} as App, {
      get: (_target, name) =>
        name === 'subscribe' || name === 'onOutput'
          ? () => () => undefined
          : name === 'snapshot'
            ? () => snapshot()
            : () => {
                reached += 1
                throw new BsmError('BUSY', 'app', 'No.')
              },
    })
    return asProperty(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(changedText(UI_REQUESTS), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        async (signsIn, messages, isBinary) => {
          const socket = new PageEnd()
          reached = 0
          new PageConnection(socket as unknown as WebSocket, app, credentials, () => undefined)
          if (signsIn)
            socket.emit(
              'message',
              Buffer.from(JSON.stringify({ action: 'auth', token: credentials.mintToken() })),
              false,
            )
          for (const message of messages) socket.emit('message', message, isBinary)
          await settled()
          for (const text of socket.said)
            must(UiMessage.safeParse(JSON.parse(text)).success, () => `an ill-formed message: ${text}`)
          if (!signsIn) {
            must(reached === 0 && socket.said.length === 0, 'the app was reached without auth')
            must(socket.closed === 4401, `closed with ${socket.closed}`)
          }
          socket.emit('close')
        },
      ),
    )
  },
}

const channel: Target = {
  id: 'helper.channel',
  promise: 'Whatever a helper says, a request of the app gets one answer and nothing throws.',
  inputs: 12_000,
  property: () =>
    asProperty(
      fc.asyncProperty(fc.array(changedText(HELPER_MESSAGES), { maxLength: 5 }), cuts, async (lines, at) => {
        const input = new PassThrough()
        const oddities: string[] = []
        const channel = new HelperChannel(input, new PassThrough().resume(), {
          onBootResult: () => undefined,
          onEvent: () => undefined,
          onOddity: (sentence) => oddities.push(sentence),
        })
        const status = channel.request({ kind: 'status' }, 60_000).then(
          () => 'answered',
          (error: unknown) => error,
        )
        for (const piece of pieces(Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\n')])), at))
          input.write(piece)
        await settled()
        const end = new BsmError('VM_LIFECYCLE_ERROR', 'helper', 'The end.')
        channel.close(end)
        must((await status) === end, 'an answer to something else was taken for ours')
        must(
          oddities.every((one) => one.trim() !== ''),
          'no sentence',
        )
        const late = await channel.request({ kind: 'status' }, 60_000).catch((error: unknown) => error)
        must(late === end, 'a request was taken after the end')
      }),
    ),
}

export const CONNECTIONS: Target[] = [agent, page, channel]
