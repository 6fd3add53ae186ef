import { createHash, randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import {
  capOutput,
  chunkHash,
  dispatchRecord,
  type ExecRequest,
  type HelperRequest,
  type ResetReport,
} from '../protocol/index.ts'

/**
 * A scripted child process that speaks the helper's NDJSON and has no VM: it stands in for a helper where
 * the supervisor, the queue and the sockets are under test. What concerns the VM is tested on the real one.
 *
 * `SCRIPT` in its environment: comma-separated words. Tools: see `run`.
 */
const script = new Set((process.env.SCRIPT ?? '').split(','))
const stateDir = process.argv[process.argv.indexOf('--state-dir') + 1] ?? ''
const ROOTFS = `sha256:${'a'.repeat(64)}`
const GOLDEN = `sha256:${'b'.repeat(64)}`

let epoch = 1
let vm = 1
let vmState: 'running' | 'stopped' = 'running'
let nextReset: string = 'pass'
const hanging = new Map<string, ExecRequest>()

const send = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`)
const ts = (): string => new Date().toISOString()
const event = (name: string, fields: object = {}): void =>
  send({ kind: 'event', event: name, ts: ts(), ...fields })

function boot(): void {
  if (script.has('boot-silent')) return
  if (script.has('boot-crash')) process.exit(66)
  if (script.has('boot-preflight-mute')) process.exit(64)
  const noQemu = script.has('boot-preflight')
  if (noQemu || script.has('boot-invalid')) {
    const error = noQemu
      ? { code: 'VM_LIFECYCLE_ERROR', message: 'QEMU cannot be run.', next_step: 'Install it.' }
      : { code: 'BOOT_CONFIG_INVALID', message: 'The kernel is a bzImage.' }
    send({
      kind: 'boot_result',
      ok: false,
      vmm_api_state: 'stopped',
      boot_path: 'cold_boot',
      ts: ts(),
      error,
    })
    process.exitCode = noQemu ? 64 : 65
    return void process.stdin.destroy()
  }
  const boot = script.has('boot-cold')
    ? {
        boot_path: 'cold_boot',
        cold_boot_reason: 'There is no golden snapshot yet.',
        phases: [{ name: 'kernel', ms: 1 }],
      }
    : { boot_path: 'fast_snapshot' }
  send({ kind: 'boot_result', ok: true, vmm_api_state: 'running', ts: ts(), ...boot })
}

function answer(request: HelperRequest, fields: object): void {
  send({ kind: `${request.kind}_response`, request_id: request.request_id, ...fields })
}

function handle(request: HelperRequest): void {
  switch (request.kind) {
    case 'exec':
      return run(request)
    case 'reset':
      return reset(request)
    case 'status':
      return answer(request, status())
    case 'verify':
      return answer(request, { ...details(), open_fd_count: script.has('verify-lie') ? 9 : 7 })
    case 'query':
      if (script.has('query-silent')) return
      return answer(request, { query_kind: request.query_kind, result: { open_fd_count: 7 } })
    case 'cancel': {
      const held = hanging.get(request.command_id)
      answer(request, { command_id: request.command_id, cancelled: held !== undefined })
      if (held === undefined) return
      hanging.delete(request.command_id)
      return finish(held, '', 137, { code: 'CANCELLED', message: 'It was cancelled.' })
    }
    case 'shutdown':
      if (script.has('deaf-to-shutdown')) return
      answer(request, { ok: true })
      process.exit(0)
  }
}

function run(request: ExecRequest): void {
  switch (request.tool) {
    case 'crash':
      process.kill(process.pid, 'SIGKILL')
      return
    case 'hang':
      hanging.set(request.command_id, request)
      return
    case 'vm-dies':
      vmState = 'stopped'
      return finish(request, '', 254, { code: 'GUEST_UNREACHABLE', message: 'The VM ended.' })
    case 'console':
      for (let n = 1; n <= Number(request.params.lines); n += 1)
        event('log', { source: 'console', level: 'info', message: `console line ${n} ${'x'.repeat(1_000)}` })
      return finish(request, '', 0)
    case 'complain':
      return finish(request, '', 254, { code: 'BAD_REQUEST', message: 'no '.repeat(100_000) })
    case 'slow':
      setTimeout(() => finish(request, 'slept', 0), Number(request.params.ms))
      return
    case 'flood':
      for (let seq = 1; seq <= Number(request.params.events); seq += 1)
        event('exec_output', {
          command_id: request.command_id,
          stream: 'stdout',
          data_b64: 'A'.repeat(64 * 1024),
          seq,
        })
      return finish(request, '', 0)
    case 'timeout':
      return finish(request, 'so far', 137, {
        code: 'SANDBOX_TOOL_TIMEOUT',
        message: 'Killed at its deadline.',
      })
    case 'next-reset':
      nextReset = String(request.params.how)
      return finish(request, '', 0)
    default:
      return finish(request, String(request.params.text ?? ''), 0)
  }
}

function finish(request: ExecRequest, stdout: string, exitCode: number, error?: object): void {
  const output = capOutput(Buffer.from(stdout))
  if (stdout !== '')
    event('exec_output', {
      command_id: request.command_id,
      stream: 'stdout',
      data_b64: Buffer.from(stdout).toString('base64'),
      seq: 2,
    })
  answer(request, {
    command_id: request.command_id,
    exit_code: exitCode,
    stdout: output.text,
    stderr: '',
    evidence_hash: writeChain(request, stdout, exitCode),
    epoch,
    duration_ms: 1,
    ...(error === undefined ? {} : { error }),
  })
}

function writeChain(request: ExecRequest, stdout: string, exitCode: number): string {
  const { kind: _kind, request_id: _id, ...dispatch } = request
  const asked = request.tool === 'forge' ? { ...dispatch, tool: 'something else' } : dispatch
  const chunks = [
    dispatchRecord(asked, epoch),
    Buffer.concat([Buffer.from([1]), Buffer.from(stdout)]),
    Buffer.from(JSON.stringify({ exit_code: exitCode })),
  ]
  let hash: Buffer | null = null
  const lines = chunks.map((data, index) => {
    hash = chunkHash(request.command_id, index + 1, data, hash)
    return JSON.stringify({
      type: 'EvidenceChunk',
      command_id: request.command_id,
      seq: index + 1,
      chunk_data: data.toString('base64'),
      chunk_size: data.length,
      is_terminal: index === chunks.length - 1,
    })
  })
  writeFileSync(join(stateDir, 'evidence', `${request.command_id}.ndjson`), `${lines.join('\n')}\n`, {
    mode: 0o600,
  })
  return `sha256:${(hash ?? createHash('sha256').digest()).toString('hex')}`
}

const details = () => ({
  fs_hash: ROOTFS,
  fs_hash_baseline: ROOTFS,
  fs_hash_match: true,
  open_fd_count: 7,
  open_fd_count_baseline: 7,
  vmm_api_state: 'running' as const,
  expected_vmm_api_state: 'running' as const,
  divergence_action: 'none' as const,
})

function reset(request: HelperRequest): void {
  const how = nextReset
  nextReset = 'pass'
  if (how === 'silent') return
  if (how === 'crash') return void process.kill(process.pid, 'SIGKILL')
  const old = vm
  vm += 1
  epoch += 1
  vmState = 'running'
  const report: ResetReport = {
    ...details(),
    reset_at: ts(),
    golden_hash: GOLDEN,
    verification_passed: true,
    reset_path: 'fast_snapshot',
    phases: [{ name: 'load', ms: 1, ahead: false }],
    total_ms: 1,
    wipe: {
      old: { id: `vm-${old}`, exit: 'SIGKILL' },
      new: { id: `vm-${vm}` },
      epoch,
      nonce_match: true,
      dispatches: 0,
      overlay_bytes: 0,
    },
    failed: [],
  }
  answer(request, { ...report, ...lie(how, old, report) })
  if (how !== 'then-dies') return
  vmState = 'stopped'
  event('vmm_state_changed', { vmm_api_state: 'stopped' })
}

/** What a helper that must not be believed says. */
function lie(how: string, old: number, report: ResetReport): Partial<ResetReport> {
  const said = (code: 'RESET_VERIFICATION_DIVERGENCE' | 'RESET_VERIFICATION_TIMEOUT' | 'RESET_FAILED') => ({
    verification_passed: false,
    error: { code, message: `It said ${code}.` },
  })
  switch (how) {
    case 'divergence':
      return {
        ...said('RESET_VERIFICATION_DIVERGENCE'),
        fs_hash: GOLDEN,
        fs_hash_match: false,
        divergence_action: 'halt',
        failed: ['fs_hash'],
      }
    case 'timeout':
      return { ...said('RESET_VERIFICATION_TIMEOUT'), open_fd_count: null, failed: ['open_fd_count'] }
    case 'failed':
      return said('RESET_FAILED')
    case 'did-nothing':
      return { wipe: { ...(report.wipe as NonNullable<ResetReport['wipe']>), new: { id: `vm-${old}` } } }
    default:
      return {}
  }
}

let asked = 0
/** The baseline is told from the fourth status on, as if the first standby took a moment. */
function golden() {
  asked += 1
  const known = { golden_hash: GOLDEN, created_at: ts(), bytes: 1 }
  if (script.has('baseline-untold')) return known
  if (script.has('baseline-never')) return { ...known, open_fd_count_baseline: null }
  return { ...known, open_fd_count_baseline: asked > 3 ? 7 : null }
}

const status = () => ({
  state: 'ready',
  backend: 'qemu',
  accelerator: 'tcg',
  vmm_api_state: vmState,
  boot_path: 'fast_snapshot',
  boot_ms: 1,
  booted_at: ts(),
  cpus: 1,
  memory_mib: 512,
  vm_id: `vm-${vm}`,
  host_rss_bytes: null,
  epoch,
  image: null,
  guest: null,
  channels: [],
  last_reset: null,
  golden: golden(),
  standby: { state: 'ready', prepare_ms: 1, since: ts() },
  exec: null,
})

if (script.has('deaf-to-sigterm')) process.on('SIGTERM', () => undefined)
if (script.has('chatty')) process.stderr.write('a sentence on stderr\n')
if (script.has('garbage')) process.stdout.write('this is not JSON\n{"kind":"unheard_of"}\n')
process.title = `scripted-helper ${randomUUID()}`
const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => handle(JSON.parse(line) as HelperRequest))
lines.on('close', () => {
  if (script.has('deaf-to-eof')) setInterval(() => undefined, 1_000)
  else process.exit(process.exitCode ?? 0)
})
boot()
