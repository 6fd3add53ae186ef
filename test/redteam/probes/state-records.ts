import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { AuditEntry, entryLine } from '../../../core/audit/entry.ts'
import { BsmError, canonicalJson, sha256, type AuditVerdict } from '../../../core/protocol/index.ts'
import { standbyReady, whenApp } from '../../support/app.ts'
import { answers, type AppVisit } from '../app-stage.ts'
import { must } from '../../gates/broken.ts'
import { probe, type Defect, type Probe } from '../probe.ts'
import type { Stage } from '../stage.ts'
import { seen } from './agent-attack.ts'
import { counts } from './hostile.ts'

/** What an app has recorded, changed behind its back: whoever asks is told so. */

const CREDULOUS: Defect = { when: 'whatever is checked is found in order', socket: 'credulous' }

const record = (
  id: string,
  promise: string,
  run: (stage: Stage) => Promise<string | undefined>,
  more: Partial<Pick<Probe, 'needs' | 'defect' | 'only' | 'slice' | 'budgetMs'>> = {},
): Probe =>
  probe({
    ...{ id: `state.${id}`, group: 'Agents', attacker: 'host', promise },
    ...{ needs: 'app', run, defect: CREDULOUS, ...more },
  })

async function dispatch(app: AppVisit): Promise<string> {
  const { sandbox } = await app.agent()
  const { command_id, error } = await sandbox.exec('echo', { text: 'on record' })
  must(error === undefined, `the dispatch failed: ${seen(error)}`)
  return command_id
}

// ---------------------------------------------------------------- audit log

const auditOf = ({ scratch }: Pick<AppVisit, 'scratch'>): string => join(scratch.stateDir, 'audit.jsonl')

/** The chain is made anew from `entries` on: every hash is right, as anybody can make it who has no key. */
function resealed(entries: AuditEntry[]): string[] {
  let prev: string | null = null
  return entries.map(({ hash: _hash, ...body }, at) => {
    const next = { ...body, seq: at + 1, prev }
    const hash = sha256(canonicalJson(next))
    prev = hash
    return entryLine(AuditEntry.parse({ ...next, hash }))
      .toString('utf8')
      .trimEnd()
  })
}

const parsed = (lines: string[]): AuditEntry[] => lines.map((line) => AuditEntry.parse(JSON.parse(line)))
const middle = (lines: string[]): number => Math.floor(lines.length / 2)
const blamed = (line: string): string => line.replace(/"ts":"20/, '"ts":"19')

type Change = { what: string; change: (lines: string[]) => string[]; finding: AuditVerdict['finding'] }

const CHANGES: Record<string, Change> = {
  'line-changed': {
    what: 'one line of it was changed',
    change: (lines) => lines.with(middle(lines), blamed(lines[middle(lines)] ?? '')),
    finding: 'broken_chain',
  },
  'line-changed-resealed': {
    what: 'one line of it was changed and the chain made anew',
    change: (lines) => resealed(parsed(lines.with(middle(lines), blamed(lines[middle(lines)] ?? '')))),
    finding: 'broken_chain',
  },
  'line-removed': {
    what: 'a line was taken out of it',
    change: (lines) => lines.toSpliced(middle(lines), 1),
    finding: 'broken_chain',
  },
  'lines-swapped': {
    what: 'two lines of it changed places',
    change: (lines) => lines.toSpliced(middle(lines), 2, ...lines.slice(middle(lines)).slice(0, 2).reverse()),
    finding: 'broken_chain',
  },
  'last-line-removed': {
    what: 'its last line was cut',
    change: (lines) => lines.slice(0, -1),
    finding: 'missing_tail',
  },
  emptied: { what: 'it was emptied', change: () => [], finding: 'missing_tail' },
  'line-forged': {
    what: 'a line was appended that chains',
    change: (lines) => resealed([...parsed(lines), ...parsed(lines.slice(-1))]),
    finding: 'broken_chain',
  },
}

const changes = Object.entries(CHANGES).map(([id, { what, change, finding }]) =>
  record(
    `audit-${id}`,
    `While the app runs, a check of the audit log says that ${what}.`,
    async (stage) => {
      const app = await stage.app()
      await dispatch(app)
      const person = await app.personAtDoor()
      const path = auditOf(app)
      const before = readFileSync(path, 'utf8')
      let verdict: AuditVerdict
      try {
        const lines = change(before.trimEnd().split('\n'))
        writeFileSync(path, lines.map((line) => `${line}\n`).join(''))
        verdict = await person.verifyAudit()
      } finally {
        writeFileSync(path, before)
      }
      must(!verdict.ok && verdict.finding === finding, `the check said: ${seen(verdict)}`)
      const after = await app.person.verifyAudit()
      must(after.ok, `put back, it is not whole: ${seen(after)}`)
      return verdict.message
    },
    { slice: id === 'line-changed-resealed' },
  ),
)

const audits: readonly Probe[] = [
  ...changes,
  record(
    'audit-cut-between-runs',
    'An audit log that was cut while no app ran is found out at the next start, and the wound stays in the log.',
    async ({ apps }) => {
      const places = apps.ground()
      const first = await apps.start(places)
      must(await answers(first), 'it did not start')
      const before = await apps.visit(first)
      await before.client()
      await first.kill('SIGTERM')
      const path = auditOf({ scratch: places })
      const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
      writeFileSync(path, `${lines.slice(0, -1).join('\n')}\n`)
      const second = await apps.start(places)
      must(await answers(second), 'it did not start again')
      const after = await apps.visit(second)
      const verdict = await (await after.personAtDoor()).verifyAudit()
      must(!verdict.ok, `the check said: ${seen(verdict)}`)
      must(
        readFileSync(path, 'utf8').includes('"kind":"audit_tampering_found"'),
        'the log does not tell of it',
      )
      return verdict.message
    },
    { needs: 'own-app', budgetMs: 120_000 },
  ),
]

// ---------------------------------------------------------------- evidence

const withData = (line: string, data: (bytes: Buffer) => Buffer): string => {
  const chunk = JSON.parse(line) as { chunk_data: string }
  const bytes = data(Buffer.from(chunk.chunk_data, 'base64'))
  return JSON.stringify({ ...chunk, chunk_data: bytes.toString('base64'), chunk_size: bytes.length })
}
const replacing = (from: string, to: string) => (bytes: Buffer) =>
  Buffer.from(bytes.toString('latin1').replace(from, to), 'latin1')

const FORGERIES: Record<string, { what: string; forge: (path: string, lines: string[]) => void }> = {
  'output-changed': {
    what: 'says another output',
    forge: (path, lines) =>
      writeFileSync(
        path,
        lines.map((line) => `${withData(line, replacing('on record', 'off record'))}\n`).join(''),
      ),
  },
  'call-changed': {
    what: 'says another call',
    forge: (path, [first = '', ...rest]) =>
      writeFileSync(
        path,
        [withData(first, replacing('"echo"', '"sh"')), ...rest].map((line) => `${line}\n`).join(''),
      ),
  },
  'chunk-removed': {
    what: 'lacks a chunk',
    forge: (path, lines) =>
      writeFileSync(
        path,
        lines
          .toSpliced(1, 1)
          .map((line) => `${line}\n`)
          .join(''),
      ),
  },
  emptied: { what: 'is empty', forge: (path) => writeFileSync(path, '') },
  removed: { what: 'is gone', forge: (path) => unlinkSync(path) },
  linked: {
    what: 'is a link to its like',
    forge: (path) => {
      renameSync(path, `${path}.moved`)
      symlinkSync(`${path}.moved`, path)
    },
  },
}

const forgeries = Object.entries(FORGERIES).map(([id, { what, forge }]) =>
  record(`evidence-${id}`, `Evidence that ${what} is not taken for that of the dispatch.`, async (stage) => {
    const app = await stage.app()
    const commandId = await dispatch(app)
    const person = await app.personAtDoor()
    const intact = await app.person.verifyEvidence(commandId)
    must(intact.ok, `untouched, it is not whole: ${seen(intact)}`)
    const path = join(app.scratch.stateDir, 'evidence', `${commandId}.ndjson`)
    const before = readFileSync(path, 'utf8')
    forge(path, before.trimEnd().split('\n'))
    must(!existsSync(path) || readFileSync(path, 'utf8') !== before || id === 'linked', 'nothing was forged')
    const said = await person.verifyEvidence(commandId).then(
      ({ ok, message }) => ({ ok, message }),
      (error: unknown) => {
        if (error instanceof BsmError) return { ok: false, message: error.message }
        throw error
      },
    )
    must(!said.ok, `the check said: ${said.message}`)
    return said.message
  }),
)

// ---------------------------------------------------------------- degraded

/** A start at which the audit log remembers nothing. */
function forget({ stateDir, configDir }: { stateDir: string; configDir: string }): undefined {
  rmSync(join(stateDir, 'audit.jsonl'), { force: true })
  for (const name of readdirSync(configDir)) if (name.startsWith('audit-head')) rmSync(join(configDir, name))
}

const degraded = record(
  'degraded-removed',
  'Whoever removes the record of degraded mode, while the app runs or between two runs, does not heal the sandbox.',
  async (stage) => {
    const app = await stage.ownApp(stage.qemu.environment)
    await standbyReady(app.person)
    stage.qemu.attack([counts([31_337])])
    const { sandbox } = await app.agent()
    const diverged = await sandbox.exec('echo', { text: 'x' })
    must(diverged.sandbox_reset_state?.verification_passed === false, `the lie passed: ${seen(diverged)}`)
    await whenApp(app.person, 'degraded', (snapshot) => snapshot.state === 'degraded')
    const path = join(app.scratch.stateDir, 'degraded.json')
    unlinkSync(path)
    const during = await sandbox.exec('echo', { text: 'x' })
    must(during.error?.code === 'DEGRADED', `with the record removed it answered ${seen(during)}`)
    await app.process.kill('SIGTERM')
    stage.qemu.relent()
    rmSync(path, { force: true })
    const again = await stage.apps.visit(await (await stage.apps.start(app.scratch)).ready())
    const after = await (await again.agent()).sandbox.exec('echo', { text: 'x' })
    must(after.error?.code === 'DEGRADED', `after a restart it answered ${seen(after)}`)
    must(existsSync(path), 'the record was not made again')
  },
  {
    needs: 'own-app',
    budgetMs: 120_000,
    defect: { when: 'nothing but the record remembers', beforeStart: forget },
  },
)

export const STATE_RECORDS: readonly Probe[] = [...audits, ...forgeries, degraded]
