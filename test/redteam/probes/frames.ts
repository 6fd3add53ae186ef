import { randomUUID } from 'node:crypto'
import { canonicalJson, LIMITS, PORTS } from '../../../core/protocol/index.ts'
import { until } from '../../support/deadline.ts'
import type { FramePart } from '../../support/lying-qemu.ts'
import { must } from '../../gates/broken.ts'
import { probe, type Probe } from '../probe.ts'
import {
  announced,
  attack,
  attackable,
  attacked,
  base64,
  BELIEVING,
  chunk,
  framed,
  HONEST,
  instead,
  message,
  refused,
  result,
  servesAfterReset,
  taken,
  type Dispatched,
} from './hostile.ts'

/** Whoever speaks for the dispatcher cannot make a dispatch look other than what its evidence shows. */

/** The terminal chunk that a forger would like to be the last. */
const forgedEnd = ({ command_id }: Dispatched): FramePart => {
  const record = { exit_code: 0, truncated: { stdout: false, stderr: false }, duration_ms: 1 }
  const data = canonicalJson(record)
  return message({
    type: 'EvidenceChunk',
    command_id,
    seq: 2,
    chunk_data: base64(data),
    chunk_size: data.length,
    is_terminal: true,
  })
}

const evidence: readonly Probe[] = [
  attack('evidence-gap', {
    promise: 'A dispatch whose evidence lacks a chunk has no result.',
    rules: () => [chunk({ seq: 2 })],
    codes: ['EVIDENCE_GAP'],
    says: /chunk 3 came where 2 was due/,
    slice: true,
  }),
  attack('evidence-endless', {
    promise: 'A dispatch whose evidence has no end has no result.',
    rules: () => [chunk({ is_terminal: true })],
    codes: ['EVIDENCE_GAP'],
    says: /the end of its evidence did not/,
  }),
  attack('evidence-repeat', {
    promise: 'A dispatch whose evidence repeats a chunk has no result.',
    rules: () => [chunk({ seq: 2 }, HONEST, HONEST)],
    codes: ['EVIDENCE_DUPLICATE'],
    says: /chunk 2 came where 3 was due/,
  }),
  attack('evidence-swapped', {
    promise: 'A dispatch with two chunks of its evidence swapped has no result.',
    rules: () => [{ port: PORTS.evidence, where: { type: 'EvidenceChunk', seq: 2 }, later: true }],
    // Of two swapped, the one that came too early is seen first.
    codes: ['EVIDENCE_GAP'],
    says: /chunk 3 came where 2 was due/,
  }),
  attack('evidence-old', {
    promise: 'A chunk of evidence that comes once more, later, is not taken.',
    rules: () => [chunk({ seq: 3 }, { set: { seq: 1 } })],
    codes: ['EVIDENCE_OUT_OF_ORDER'],
    says: /chunk 1 came where 3 was due/,
  }),
  attack('evidence-bytes', {
    promise: 'Output changed in the evidence alone is noticed.',
    // The first byte is the stream's: the dispatch record has the word too, and is checked for itself.
    rules: () => [chunk({}, { replace: { from: '\u0002two', to: '\u0002too' } })],
    codes: ['EVIDENCE_MISMATCH'],
    says: /result's evidence_hash is not/,
  }),
  attack('evidence-size', {
    promise: 'A chunk that is not as large as it says is not taken.',
    rules: () => [chunk({ seq: 2 }, { set: { chunk_size: 1 } })],
    codes: ['EVIDENCE_MISMATCH'],
    says: /Chunk 2 says 1 bytes/,
  }),
  attack('evidence-hash', {
    promise: 'A result with another hash than that of its evidence is not taken.',
    rules: () => [result({ set: { evidence_hash: `sha256:${'ab'.repeat(32)}` } })],
    codes: ['EVIDENCE_MISMATCH'],
    says: /result's evidence_hash is not/,
  }),
  attack('evidence-forged-end', {
    promise: 'A forged end of the evidence does not end a dispatch.',
    rules: (dispatched) => [chunk({ seq: 2 }, forgedEnd(dispatched))],
    codes: ['EVIDENCE_MISMATCH'],
    says: /after the end of the chain/,
  }),
  attack('evidence-foreign', {
    promise: 'Evidence of another command is not taken.',
    rules: () => [chunk({ seq: 2 }, { set: { command_id: randomUUID() } })],
    codes: ['EVIDENCE_MISMATCH'],
    says: /Evidence of another command/,
  }),
  attack('evidence-of-another-epoch', {
    promise: 'Evidence of another epoch is not taken.',
    rules: ({ epoch }) => [
      chunk({ seq: 1 }, { replace: { from: `"epoch":${epoch}`, to: `"epoch":${epoch - 1}` } }),
    ],
    codes: ['EVIDENCE_MISMATCH'],
    says: /dispatch record in the evidence/,
  }),
  attack('evidence-of-another-dispatch', {
    promise: 'Evidence that another command was run than was asked for is not taken.',
    rules: () => [chunk({ seq: 1 }, { replace: { from: 'exit 3', to: 'exit 0' } })],
    codes: ['EVIDENCE_MISMATCH'],
    says: /dispatch record in the evidence/,
  }),
  attack('evidence-on-dispatch-port', {
    promise: 'Evidence on the port of dispatches is not taken.',
    rules: () => [chunk({ seq: 2 }, HONEST, { port: PORTS.dispatch })],
    codes: ['FRAME_MALFORMED'],
    says: /Port 1024 sent a message of/,
  }),
]

const results: readonly Probe[] = [
  attack('result-exit-code', {
    promise: 'A result with another exit code than the evidence shows is not taken.',
    rules: () => [result({ set: { exit_code: 0 } })],
    codes: ['EVIDENCE_MISMATCH'],
    says: /result's exit_code is not/,
    slice: true,
  }),
  attack('result-output', {
    promise: 'A result with other output than the evidence shows is not taken.',
    rules: () => [result({ set: { stdout: 'all is well\n' } })],
    codes: ['EVIDENCE_MISMATCH'],
    says: /result's stdout is not/,
  }),
  attack('result-untold-cut', {
    promise: 'A result that says that its output was cut is held to the evidence.',
    rules: () => [result({ set: { truncated: { stdout: true, stderr: false } } })],
    codes: ['EVIDENCE_MISMATCH'],
    says: /result's (truncated|cut) is not/,
  }),
  attack('result-foreign', {
    promise: 'A result of another command is not taken.',
    rules: () => [result({ set: { command_id: randomUUID() } })],
    codes: ['EVIDENCE_MISMATCH'],
    says: /result of another command/,
  }),
  attack('result-error', {
    promise: 'A result with another error than the evidence shows is not taken.',
    rules: () => [result({ set: { error: { code: 'DEGRADED', message: 'nothing runs any more' } } })],
    codes: ['EVIDENCE_MISMATCH'],
    says: /result's error is not/,
  }),
  attack('refusal', {
    promise: 'A dispatcher that refuses what it was given to run has run nothing.',
    rules: ({ command_id }) => [
      result(message({ type: 'Error', code: 'DEGRADED', message: '\u001b[2J\r\nexit code 0', command_id })),
    ],
    codes: ['GUEST_UNREACHABLE'],
    says: /refused the dispatch/,
  }),
  attack('result-on-evidence-port', {
    promise: 'A result on the port of evidence is not taken.',
    rules: () => [result({ port: PORTS.evidence })],
    codes: ['FRAME_MALFORMED'],
    says: /Port 1025 sent a message of/,
  }),
]

const MALFORMED: Record<string, FramePart> = {
  'no JSON': framed('exit_code: 0'),
  'no UTF-8': framed(Buffer.from([0x22, 0xff, 0xfe, 0x22])),
  'no bytes': framed(''),
  'a repeated key': framed('{"type":"Pong","type":"Pong","nonce":"x"}'),
  'keys in another case': framed('{"Type":"Pong","nonce":"x"}'),
  'an unknown type': message({ type: 'ToolResults' }),
  'too many levels': framed('['.repeat(10_000)),
  'an end inside a frame': { cut: 20, close: true },
}

const shapes: readonly Probe[] = [
  probe({
    id: 'frames.malformed',
    group: 'Output as attack',
    attacker: 'guest',
    promise: 'A frame that is not well-formed fails its dispatch, and no more.',
    needs: 'own-vm',
    budgetMs: 120_000,
    setup: attackable,
    run: async (stage, helper) => {
      for (const [what, part] of Object.entries(MALFORMED)) {
        const response = await attacked(stage, helper, () => [result(part)])
        must(response.error?.code === 'FRAME_MALFORMED', `${what}: ${JSON.stringify(response.error)}`)
        refused(response, ['FRAME_MALFORMED'])
        await servesAfterReset(helper)
      }
      return Object.keys(MALFORMED).join(', ')
    },
    defect: BELIEVING,
  }),
  attack('no-record', {
    promise: 'What is no record of the bridge fails its dispatch, and no more.',
    rules: () => [result({ bare: base64(Buffer.alloc(64, 0xff)) })],
    codes: ['FRAME_MALFORMED'],
    says: /no bridge record/,
    only: { helper: 'qemu', because: 'a socket of the framework has no bridge' },
  }),
  attack('oversize', {
    promise: 'A frame that announces more than 16 MiB is refused before it came.',
    rules: () => [result(announced(LIMITS.frameBytes + 1))],
    codes: ['FRAME_TOO_LARGE'],
    says: /A frame of \d+ bytes came/,
  }),
  attack('truncated-silence', {
    promise: 'A frame that was begun is not waited for longer than 30 s.',
    // A Pong would go on with the frame.
    rules: () => [result({ cut: 40 }), instead(PORTS.dispatch, { type: 'Pong' })],
    codes: ['FRAME_MALFORMED'],
    says: /fell silent inside a frame/,
    deadlineMs: 60_000,
    budgetMs: 120_000,
  }),
  probe({
    id: 'frames.slow-past-deadline',
    group: 'Output as attack',
    attacker: 'guest',
    promise: 'A result that trickles in past its deadline is not taken, and holds up nothing.',
    needs: 'own-vm',
    budgetMs: 90_000,
    setup: attackable,
    run: async (stage, helper) => {
      let isOver = false
      const response = await attacked(
        stage,
        helper,
        () => [result({ every_ms: 500 })],
        { deadline_ms: 1_000 },
        async (over) => {
          void over.then(() => (isOver = true))
          await helper.event('exec_output')
          const { exec } = await helper.status()
          must(isOver || exec !== null, 'a status says that nothing runs')
        },
      )
      refused(response, ['SANDBOX_TOOL_TIMEOUT'])
      await servesAfterReset(helper)
    },
    defect: BELIEVING,
  }),
  probe({
    id: 'frames.slow-in-time',
    group: 'Output as attack',
    attacker: 'guest',
    promise: 'A frame that comes byte by byte is a frame like any other once it is whole.',
    needs: 'own-vm',
    setup: attackable,
    run: async (stage, helper) => {
      taken(await attacked(stage, helper, () => [result({ every_ms: 2 })]))
    },
    defect: { when: 'a frame that comes slowly is given up', helper: 'hurried' },
  }),
  probe({
    id: 'frames.dead-connection',
    group: 'Output as attack',
    attacker: 'guest',
    promise: 'What comes on a connection that was given up counts for nothing.',
    needs: 'own-vm',
    only: { helper: 'qemu', because: 'a socket of the framework has no bridge' },
    setup: attackable,
    run: async (stage, helper) => {
      const lost = await attacked(stage, helper, () => [result({ cut: 20, close: true })])
      refused(lost, ['FRAME_MALFORMED'])
      await until(20_000, 'another connection', async () => {
        const { channels } = await helper.status()
        return channels.some(({ port, state }) => port === PORTS.dispatch && state === 'open')
      })
      const forged: FramePart = { dead: true, set: { exit_code: 0, stdout: 'all is well\n' } }
      taken(await attacked(stage, helper, () => [result(forged, HONEST)]))
    },
    defect: { when: 'the result of whatever connection is taken', helper: 'dead-letter' },
  }),
]

export const FRAMES: readonly Probe[] = [...evidence, ...results, ...shapes]
