import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Scratch } from '../../support/scratch.ts'
import { answers } from '../app-stage.ts'
import { must } from '../../gates/broken.ts'
import type { Defect, Probe } from '../probe.ts'
import type { Stage } from '../stage.ts'
import { HANG_UP_MS, mustServe, seen } from './agent-attack.ts'
import { inConfig, inState, linkedFile, PRECIOUS, state } from './state-attack.ts'

/** What an app finds at its start and puts right, and the app that it finds there. */

const modeOf = (path: string): number => lstatSync(path).mode & 0o777
const octal = (mode: number): string => `0${mode.toString(8)}`

async function started(stage: Stage, places: Scratch) {
  const app = await stage.apps.start(places)
  must(await answers(app), `it did not start: ${app.output.slice(0, 500)}`)
  return await stage.apps.visit(app)
}

const mended: readonly Probe[] = [
  state(
    'directory-open',
    'Directories that others may read or write are theirs no longer once the app has started.',
    {
      when: 'rights are left as they are',
      afterStart: ({ stateDir }) => chmodSync(stateDir, 0o777),
    },
    async (stage) => {
      const places = stage.apps.ground()
      const directories = [
        places.stateDir,
        places.configDir,
        ...['evidence', 'logs'].map((one) => inState(one)(places)),
      ]
      for (const path of directories) {
        mkdirSync(path, { recursive: true })
        chmodSync(path, 0o777)
      }
      await started(stage, places)
      for (const path of directories)
        must(modeOf(path) === 0o700, `${path} has the mode ${octal(modeOf(path))}`)
    },
  ),
  state(
    'files-private',
    'Sockets, token, lock, audit log, clients and keys are for this user alone, whatever the umask.',
    {
      when: 'a socket is for everybody',
      afterStart: ({ stateDir }) => chmodSync(join(stateDir, 'agent.sock'), 0o666),
    },
    async (stage) => {
      const places = stage.apps.ground()
      const mask = process.umask(0)
      const app = await started(stage, places).finally(() => process.umask(mask))
      await app.client()
      const ofState = [
        'agent.sock',
        'control.sock',
        'control.token',
        'app.lock',
        'audit.jsonl',
        'clients.json',
      ]
      for (const path of [...ofState.map((name) => inState(name)(places)), inConfig('audit.key')(places)])
        must(modeOf(path) === 0o600, `${path} has the mode ${octal(modeOf(path))}`)
    },
  ),
  state(
    'token-planted',
    'A token that lies there before the start, readable for all, opens nothing after it.',
    { when: 'any token will do', socket: 'any-token' },
    async (stage) => {
      const places = stage.apps.ground()
      const [path, token] = [inState('control.token')(places), 'A'.repeat(43)]
      writeFileSync(path, `${token}\n`)
      chmodSync(path, 0o666)
      const app = await started(stage, places)
      must(modeOf(path) === 0o600, `the token has the mode ${octal(modeOf(path))}`)
      const peer = await app.peer(undefined, 'control')
      const answer = await peer.hello({ client: 'cli', token })
      must(answer?.error?.code === 'UNAUTHORIZED', `it was answered ${seen(answer)}`)
      must(await peer.isHungUp(HANG_UP_MS), 'it was not hung up on')
    },
  ),
  state(
    'token-link',
    'A token file that is a link is replaced, and where it leads nothing is written.',
    {
      when: 'it is written through links',
      afterStart: (places) =>
        writeFileSync(places.path('precious'), readFileSync(inState('control.token')(places))),
    },
    async (stage) => {
      const places = stage.apps.ground()
      linkedFile(inState('control.token'))(places)
      await started(stage, places)
      const text = readFileSync(places.path('precious'), 'utf8')
      must(text === PRECIOUS, `where it leads now lies ${seen(text.length)} bytes of a token`)
      const stat = lstatSync(inState('control.token')(places))
      must(stat.isFile() && (stat.mode & 0o777) === 0o600, 'the token is no file of ours')
    },
  ),
]

const OTHER_PLACE: Defect = {
  when: 'nobody looks for another app',
  beforeStart: (places) =>
    existsSync(inState('app.lock')(places)) ? { BSM_STATE_DIR: places.path('other') } : undefined,
}

async function mustRefuseSecond(stage: Stage, says: RegExp, hidden: readonly string[]): Promise<undefined> {
  const first = await stage.ownApp()
  const paths = hidden.map((name) => inState(name)(first.scratch))
  for (const path of paths) renameSync(path, `${path}.hidden`)
  const second = await stage.apps.start(first.scratch)
  const isReady = await second.ready().then(
    () => true,
    () => false,
  )
  must(!isReady, 'the second one started')
  must(says.test(second.output), `it said: ${second.output.slice(0, 500)}`)
  for (const path of paths) {
    must(!existsSync(path), `it made ${path}`)
    renameSync(`${path}.hidden`, path)
  }
  await mustServe(first)
}

const seconds: readonly Probe[] = [
  state(
    'second-app',
    'A second app in the same state directory is refused, and the first one serves on.',
    OTHER_PLACE,
    (stage) => mustRefuseSecond(stage, /the app is running already/, []),
  ),
  state(
    'second-app-unseen',
    'A second app that cannot see the sockets and the token of the first is refused, and touches nothing of it.',
    OTHER_PLACE,
    (stage) =>
      mustRefuseSecond(stage, /Another Brainstorm Sandbox/, ['agent.sock', 'control.sock', 'control.token']),
  ),
]

export const STATE_STARTS: readonly Probe[] = [...mended, ...seconds]
