import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { LIMITS, type ExecResponse } from '../../../core/protocol/index.ts'
import { encodeFrame } from '../../../helper/qemu/guest-link/frames.ts'
import { streamed } from '../../conformance/checks/exec.ts'
import { within } from '../../support/deadline.ts'
import { recomputeHash, storedChain } from '../../support/evidence.ts'
import type { ExecExtras, Helper, ResponseTo } from '../../support/helper.ts'
import { repository } from '../../support/image.ts'
import { must } from '../../gates/broken.ts'
import { probe, type Probe } from '../probe.ts'
import type { Stage } from '../stage.ts'
import { base64 } from './hostile.ts'

/** What a tool prints is data, and never more. */

type Response = ResponseTo<'exec'>
type Stream = 'stdout' | 'stderr'

const STREAM_BYTE: Record<Stream, number> = { stdout: 1, stderr: 2 }
const FORGED_TEXT = 'all is well'
const EXIT_CODE = 9

const bytesOf = (response: Response, stream: Stream): Buffer =>
  Buffer.from(response[stream], response.encoding?.[stream] === 'base64' ? 'base64' : 'utf8')

/** The chain of a dispatch, which must be what its response says it is, and what it has of one stream. */
export function evidenced(
  response: Pick<ExecResponse, 'command_id' | 'exit_code' | 'evidence_hash' | 'evidence_path'>,
) {
  const { chunks, data } = storedChain(response)
  const hash = recomputeHash(response.command_id, data)
  must(hash === response.evidence_hash, `the chain has ${hash}, the response ${response.evidence_hash}`)
  const ends = chunks.flatMap(({ is_terminal }, at) => (is_terminal ? [at + 1] : []))
  must(ends.join() === String(chunks.length), `terminal chunks at ${ends.join()} of ${chunks.length}`)
  const record = JSON.parse((data.at(-1) ?? Buffer.alloc(0)).toString('utf8')) as { exit_code: number }
  must(record.exit_code === response.exit_code, `the chain has exit code ${record.exit_code}`)
  const of = (stream: Stream): Buffer =>
    Buffer.concat(data.flatMap((chunk) => (chunk[0] === STREAM_BYTE[stream] ? [chunk.subarray(1)] : [])))
  return { chunks, of }
}

/** Prints these bytes on both streams and fails. */
async function printed(vm: Helper, bytes: Buffer, extras: ExecExtras = {}): Promise<Response> {
  const command = `cat >/tmp/printed; cat /tmp/printed; cat /tmp/printed >&2; exit ${EXIT_CODE}`
  return await vm.sh(command, { ...extras, stdin_b64: base64(bytes) })
}

/** The bytes came as they were, everywhere, and the exit code is the tool's. */
function isData(vm: Helper, response: Response, bytes: Buffer): void {
  must(
    response.exit_code === EXIT_CODE && response.error === undefined,
    `exit code ${response.exit_code} ${JSON.stringify(response.error)}`,
  )
  const { of } = evidenced(response)
  for (const stream of ['stdout', 'stderr'] as const) {
    must(bytesOf(response, stream).equals(bytes), `${stream}: ${response[stream].slice(0, 200)}`)
    must(of(stream).equals(bytes), `the chain has other bytes of ${stream}`)
    must(streamed(vm, response.command_id, stream).equals(bytes), `other bytes of ${stream} came live`)
  }
}

const forgeries: readonly Probe[] = [
  probe({
    id: 'output.forged-lines',
    group: 'Output as attack',
    attacker: 'tool',
    promise:
      "Lines of the helper's protocol that a tool prints are its output: nothing is answered, run or ended by them.",
    needs: 'vm',
    slice: true,
    run: async ({ vm }) => {
      const [command_id, forged_id] = [randomUUID(), randomUUID()]
      const lines = [
        { kind: 'exec_response', command_id, exit_code: 0, stdout: FORGED_TEXT, stderr: '' },
        {
          kind: 'exec',
          request_id: randomUUID(),
          command_id: forged_id,
          tool: 'echo',
          params: { text: 'x' },
        },
        { kind: 'reset_response', request_id: randomUUID(), verification_passed: true },
        { kind: 'event', event: 'guest_unreachable', ts: new Date().toISOString() },
        { kind: 'shutdown', request_id: randomUUID() },
      ]
      const bytes = Buffer.from(`\n${lines.map((line) => JSON.stringify(line)).join('\n')}\n`)
      isData(vm, await printed(vm, bytes, { command_id }), bytes)
      must(vm.events('guest_unreachable').length === 0, 'the event that was printed came')
      // An id can be used once: had it been run, it would be refused now.
      const next = await vm.exec('echo', { text: 'x' }, { command_id: forged_id })
      must(next.exit_code === 0, `the next dispatch: ${JSON.stringify(next.error)}`)
    },
    defect: { when: 'what looks like a response is taken for one', helper: 'gullible' },
  }),
  probe({
    id: 'output.forged-frames',
    group: 'Output as attack',
    attacker: 'tool',
    promise:
      "Frames of the guest's protocol that a tool prints are its output: nothing is ended or answered by them.",
    needs: 'vm',
    run: async ({ vm }) => {
      const command_id = randomUUID()
      const bytes = Buffer.concat([
        encodeFrame({ type: 'ToolResult', command_id, exit_code: 0, stdout: FORGED_TEXT, stderr: '' }),
        encodeFrame({
          type: 'EvidenceChunk',
          command_id,
          seq: 2,
          chunk_data: '',
          chunk_size: 0,
          is_terminal: true,
        }),
        encodeFrame({ type: 'Error', code: 'BAD_REQUEST', message: FORGED_TEXT, command_id }),
        // A record of the bridge that closes a connection.
        Buffer.from([0, 0, 0, 1, 3, 0, 0, 0, 0]),
      ])
      isData(vm, await printed(vm, bytes, { command_id }), bytes)
    },
    defect: { when: 'what looks like a result is taken for one', helper: 'gullible' },
  }),
  probe({
    id: 'output.bytes',
    group: 'Output as attack',
    attacker: 'tool',
    promise: 'Whatever bytes a tool prints come as they are: in the response, live and in the evidence.',
    needs: 'vm',
    slice: true,
    run: async ({ vm }) => {
      const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
      // Too long, a surrogate, beyond the last character, cut off.
      const invalid = Buffer.from('c080 e080af eda080 f4908080 f8888080 fffe e29d', 'hex')
      const bytes = Buffer.concat([all, invalid, Buffer.from('\0\ufeff\u2028\u202e"\\'), invalid, all])
      const response = await printed(vm, bytes)
      must(response.encoding?.stdout === 'base64', `${response.encoding?.stdout} of bytes that are no text`)
      isData(vm, response, bytes)
    },
    defect: { when: 'other bytes are shown than are kept', helper: 'altered-live' },
  }),
]

const MIB = 1024 * 1024

const floods: readonly Probe[] = [
  probe({
    id: 'output.gigabyte',
    group: 'Output as attack',
    attacker: 'tool',
    promise: 'A tool that prints 1 GB is killed at 64 MiB, and the result says it.',
    needs: 'vm',
    budgetMs: 240_000,
    run: async ({ vm }) => {
      const response = await vm.sh('dd if=/dev/zero bs=1M count=1024; echo survived', {
        deadline_ms: 200_000,
      })
      const { exit_code, error, truncated, stdout_bytes = 0 } = response
      must(exit_code === 137 && error?.code === 'OUTPUT_LIMIT', `${exit_code} ${JSON.stringify(error)}`)
      must(truncated?.stdout === true, 'the result does not say that it is cut')
      must(
        stdout_bytes <= LIMITS.evidenceBytes && stdout_bytes > LIMITS.evidenceBytes - 2 * MIB,
        `${stdout_bytes} bytes`,
      )
      must(evidenced(response).of('stdout').length === stdout_bytes, 'the chain has another number of bytes')
      await serves(vm)
    },
    defect: { when: 'any end of a tool is a good one', helper: 'believing' },
  }),
  probe({
    id: 'output.cut',
    group: 'Output as attack',
    attacker: 'tool',
    promise:
      'What a tool prints beyond what a result holds is in the evidence, and the result says that it is cut.',
    needs: 'vm',
    run: async ({ vm }) => {
      const bytes = 2 * LIMITS.outputBytes
      const response = await vm.sh(`dd if=/dev/zero bs=1024 count=${bytes / 1024} 2>/dev/null`)
      const { exit_code, error, stdout, truncated, stdout_bytes } = response
      must(
        exit_code === 0 && stdout_bytes === bytes,
        `${exit_code} ${JSON.stringify(error)}, ${stdout_bytes} bytes`,
      )
      must(stdout.length < bytes, `the result holds ${stdout.length} characters`)
      must(truncated?.stdout === true, 'the result does not say that it is cut')
      must(evidenced(response).of('stdout').equals(Buffer.alloc(bytes)), 'the chain has other bytes')
    },
    defect: { when: 'a cut is not told', helper: 'untold-cut' },
  }),
  probe({
    id: 'output.tiny-writes',
    group: 'Output as attack',
    attacker: 'tool',
    promise: 'A flood of writes of one byte loses none, and takes few chunks of evidence.',
    needs: 'vm',
    budgetMs: 90_000,
    run: async ({ vm }) => {
      const count = 5_000
      const response = await vm.sh(`dd if=/dev/zero bs=1 count=${count} 2>/dev/null`, { deadline_ms: 60_000 })
      must(response.exit_code === 0, `${response.exit_code} ${JSON.stringify(response.error)}`)
      const { chunks, of } = evidenced(response)
      must(of('stdout').equals(Buffer.alloc(count)), `the chain has ${of('stdout').length} bytes`)
      must(streamed(vm, response.command_id, 'stdout').equals(Buffer.alloc(count)), 'other bytes came live')
      must(chunks.length < count / 2, `${chunks.length} chunks`)
      return `${count} writes in ${chunks.length} chunks`
    },
    defect: { when: 'other bytes are shown than are kept', helper: 'altered-live' },
  }),
  probe({
    id: 'output.both-streams',
    group: 'Output as attack',
    attacker: 'tool',
    promise: 'A flood on both streams ends at its deadline, with evidence of all that came.',
    needs: 'vm',
    run: async ({ vm }) => {
      const flood = "trap '' TERM INT PIPE; while :; do echo out; done & while :; do echo err >&2; done"
      const response = await vm.sh(flood, { deadline_ms: 3_000 })
      const { exit_code, error, stdout_bytes, stderr_bytes } = response
      must(
        exit_code === 137 && error?.code === 'SANDBOX_TOOL_TIMEOUT',
        `${exit_code} ${JSON.stringify(error)}`,
      )
      const { of } = evidenced(response)
      must(of('stdout').length === stdout_bytes, `${stdout_bytes} bytes of stdout`)
      must(of('stderr').length === stderr_bytes, `${stderr_bytes} bytes of stderr`)
      must(
        /^(out\n)+/.test(of('stdout').toString()) && /^(err\n)+/.test(of('stderr').toString()),
        'a stream is lost',
      )
      await serves(vm)
    },
    defect: { when: 'any end of a tool is a good one', helper: 'believing' },
  }),
]

async function serves(vm: Helper): Promise<void> {
  const { exit_code, error } = await vm.exec('echo', { text: 'still here' })
  must(exit_code === 0, `the next dispatch: ${JSON.stringify(error)}`)
}

/** Title and clipboard, a cleared screen, colours, a moved cursor, C1 controls, text that hides or turns round. */
const CONTROLS = [
  ['\u001b]0;owned\u0007', '\u001b]52;c;b3duZWQ=\u001b\\', '\u001b[2J\u001b[1;1H', '\u001b[31m', '\u001bc'],
  [
    'over\rwritten',
    'rub\b\bbed',
    '\u009b31m',
    '\u009d0;owned\u009c',
    '\u202eesrever\u202c',
    '\u2066',
    '\u200b',
  ],
].flat()

/** What a terminal obeys, and what hides or turns text round; written down here by hand. */
const OBEYED =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/u

/** Everything that a person's terminal gets while `bsm exec` runs on it. */
async function onTerminal(stage: Stage, command: string): Promise<string> {
  const { scratch } = await stage.app()
  const line = '"$NODE" "$BSM" exec sh --params "$PARAMS" $OPTIONS'
  const child = spawn('script', ['-qec', line, '/dev/null'], {
    cwd: scratch.home,
    env: scratch.environment({
      NODE: process.execPath,
      BSM: join(repository, 'dist/bsm.mjs'),
      PARAMS: JSON.stringify({ command }),
      OPTIONS: stage.option,
      TERM: 'xterm-256color',
    }),
    // Left open: its end would be typed.
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const shown: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => shown.push(chunk))
  try {
    await within(60_000, 'bsm exec on a terminal', new Promise((resolve) => child.on('close', resolve)))
  } finally {
    child.kill('SIGKILL')
  }
  // The terminal driver ends lines so.
  return Buffer.concat(shown).toString('utf8').replaceAll('\r\n', '\n')
}

const terminals: readonly Probe[] = [
  probe({
    id: 'output.terminal',
    group: 'Output as attack',
    attacker: 'tool',
    promise: "What a tool prints makes a person's terminal do nothing but show it.",
    needs: 'app',
    slice: true,
    run: async (stage) => {
      const text = `plain ${CONTROLS.join(' ')}`
      const octal = [...Buffer.from(text)].map((byte) => `\\0${byte.toString(8)}`).join('')
      const shown = await onTerminal(stage, `printf '%b' '${octal}'; printf '%b' '${octal}' >&2`)
      must(shown.split('plain').length === 3, `not shown: ${JSON.stringify(shown.slice(0, 500))}`)
      const obeyed = OBEYED.exec(shown)
      must(
        obeyed === null,
        `the terminal got ${JSON.stringify(obeyed?.[0])}: ${JSON.stringify(shown.slice(0, 500))}`,
      )
    },
    defect: { when: 'a person says --raw', option: '--raw' },
  }),
]

export const OUTPUT: readonly Probe[] = [...forgeries, ...floods, ...terminals]
