import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Scratch } from '../../support/scratch.ts'
import { answers } from '../app-stage.ts'
import { must } from '../../gates/broken.ts'
import type { Defect, Probe } from '../probe.ts'
import { inConfig, inState, linkedFile, PRECIOUS, state, type Spoil } from './state-attack.ts'
import { STATE_RECORDS } from './state-records.ts'
import { STATE_STARTS } from './state-starts.ts'

/**
 * Games with the places where an app keeps its state. They are those of somebody who can reach one of these places
 * and not the others, or who was there before the app; whoever is this user and holds the keys is out of scope.
 */

// ---------------------------------------------------------------- refused

const refused = (
  id: string,
  promise: string,
  [says, spoil]: [says: RegExp, spoil: Spoil],
  [when, beforeStart]: [Defect['when'], NonNullable<Defect['beforeStart']>],
  env: (places: Scratch) => Record<string, string> = () => ({}),
): Probe =>
  state(
    id,
    promise,
    { when, beforeStart },
    async ({ apps }) => {
      const places = apps.ground()
      const isUntouched = spoil(places)
      const app = await apps.start(places, env(places))
      must(!(await answers(app)), 'it started')
      must(says.test(app.output), `it said: ${app.output.slice(0, 500)}`)
      must(isUntouched(), 'what lay there was touched')
    },
    { slice: id === 'directory-link' },
  )

/** A directory that lies elsewhere, with a link in its place. */
const linkedDirectory =
  (of: (places: Scratch) => string): Spoil =>
  (places) => {
    const elsewhere = places.path('elsewhere')
    if (existsSync(of(places))) renameSync(of(places), elsewhere)
    else mkdirSync(elsewhere)
    symlinkSync(elsewhere, of(places))
    return () => readdirSync(elsewhere).length === 0
  }

const removed =
  (of: (places: Scratch) => string): NonNullable<Defect['beforeStart']> =>
  (places) => {
    rmSync(of(places))
    return undefined
  }

const KEY = `${'ab'.repeat(32)}\n`
const IS_LINK = /symbolic link/
const OTHERS = 65534

const refusals: readonly Probe[] = [
  refused(
    'directory-link',
    'A state directory that is a link is refused, and nothing is written to where it leads.',
    [IS_LINK, linkedDirectory(({ stateDir }) => stateDir)],
    ['links are followed', ({ stateDir }) => ({ BSM_STATE_DIR: realpathSync(stateDir) })],
  ),
  refused(
    'config-link',
    'A configuration directory that is a link is refused, and nothing is written to where it leads.',
    [IS_LINK, linkedDirectory(({ configDir }) => configDir)],
    ['links are followed', ({ configDir }) => ({ BSM_CONFIG_DIR: realpathSync(configDir) })],
  ),
  refused(
    'evidence-link',
    'A directory of evidence that is a link is refused, and nothing is written to where it leads.',
    [IS_LINK, linkedDirectory(inState('evidence'))],
    ['nobody looks what it is', removed(inState('evidence'))],
  ),
  refused(
    'keys-beside-data',
    'A configuration directory inside the state directory is refused: keys do not lie beside what they protect.',
    [
      /beside the data/,
      ({ stateDir }) =>
        () =>
          !existsSync(join(stateDir, 'audit.jsonl')),
    ],
    ['nobody compares the two', ({ configDir }) => ({ BSM_CONFIG_DIR: configDir })],
    ({ stateDir }) => ({ BSM_CONFIG_DIR: join(stateDir, 'config') }),
  ),
  refused(
    'agent-socket-link',
    'A link where the agents’ socket goes is refused and neither followed nor removed.',
    [/something else lies there/, linkedFile(inState('agent.sock'))],
    ['whatever lies there is removed', removed(inState('agent.sock'))],
  ),
  refused(
    'control-socket-file',
    'A file where the person’s socket goes is refused and not removed.',
    [
      /something else lies there/,
      ({ stateDir }) => {
        const path = join(stateDir, 'control.sock')
        writeFileSync(path, PRECIOUS)
        return () => readFileSync(path, 'utf8') === PRECIOUS
      },
    ],
    ['whatever lies there is removed', removed(inState('control.sock'))],
  ),
  refused(
    'audit-link',
    'An audit log that is a link is refused, and nothing is appended to where it leads.',
    [IS_LINK, linkedFile(inState('audit.jsonl'))],
    ['nobody looks what it is', removed(inState('audit.jsonl'))],
  ),
  refused(
    'clients-link',
    'A list of clients that is a link is refused.',
    [/cannot be read as a list of clients/, linkedFile(inState('clients.json'), '[]')],
    ['nobody looks what it is', removed(inState('clients.json'))],
  ),
  refused(
    'key-link',
    'A key that is a link is refused.',
    [IS_LINK, linkedFile(inConfig('audit.key'), KEY)],
    ['nobody looks what it is', removed(inConfig('audit.key'))],
  ),
  refused(
    'key-open',
    'A key that others may read is refused and not replaced.',
    [
      /others may read it/,
      ({ configDir }) => {
        writeFileSync(join(configDir, 'audit.key'), KEY)
        chmodSync(join(configDir, 'audit.key'), 0o644)
        return () => readFileSync(join(configDir, 'audit.key'), 'utf8') === KEY
      },
    ],
    [
      'nobody looks who may read it',
      ({ configDir }) => {
        chmodSync(join(configDir, 'audit.key'), 0o600)
        return undefined
      },
    ],
  ),
]

/** Only root can give a directory away. */
const foreign: readonly Probe[] =
  process.getuid?.() !== 0
    ? []
    : (['stateDir', 'configDir'] as const).map((of) =>
        refused(
          `foreign-${of === 'stateDir' ? 'directory' : 'config'}`,
          `A ${of === 'stateDir' ? 'state' : 'configuration'} directory of another user is refused.`,
          [
            /belongs to another user/,
            (places) => {
              chownSync(places[of], OTHERS, OTHERS)
              return () => readdirSync(places[of]).length === 0
            },
          ],
          [
            'nobody looks whose it is',
            (places) => {
              chownSync(places[of], 0, 0)
              return undefined
            },
          ],
        ),
      )

export const STATE_DIRECTORY: readonly Probe[] = [...refusals, ...foreign, ...STATE_STARTS, ...STATE_RECORDS]
