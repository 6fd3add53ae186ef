import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { ScriptedServer, type Asked, type Script } from '../../client/scripted-server.ts'
import { runCli } from '../run.ts'

export type Ran = { code: number; out: string; err: string; asked: Asked[]; folder: string }

type Options = {
  /** What the app answers; without it no app runs. */
  app?: Script
  stdin?: string
  /** Pretend that all three streams are a terminal. */
  terminal?: boolean
}

/** Runs one command line in this process, against an app whose answers the test writes down. */
export async function runScripted(
  args: string[],
  { app, stdin = '', terminal = false }: Options = {},
): Promise<Ran> {
  await using server = await ScriptedServer.start(app ?? (() => undefined), { socket: 'control.sock' })
  if (app !== undefined) await writeFile(join(server.folder, 'control.token'), 'the-token\n')
  const written = { out: '', err: '' }
  const collector = (name: 'out' | 'err') => ({
    isTTY: terminal,
    write: (text: string | Uint8Array) => {
      written[name] += typeof text === 'string' ? text : Buffer.from(text).toString()
    },
  })
  const code = await runCli(args, {
    stdin: Object.assign(Readable.from([Buffer.from(stdin)]), { isTTY: terminal }),
    stdout: collector('out'),
    stderr: collector('err'),
    env: { BSM_STATE_DIR: server.folder, HOME: server.folder },
  })
  return { code, ...written, asked: server.requests, folder: server.folder }
}
