import type { AgentRequest, ControlRequest, HelperRequest, ImageManifest } from '../../core/protocol/index.ts'

/** One message of every kind there is: what the fuzzer starts from. */

export const ID = '3f0f1c3e-6d0b-4c55-9f0c-0d6d1c1a2b3c'
export const OTHER_ID = '8a7b6c5d-4e3f-4a2b-9c1d-0e9f8a7b6c5d'
const DIGEST = `sha256:${'ab'.repeat(32)}`
const HEX = 'cd'.repeat(32)
const TS = '2026-01-02T03:04:05.678Z'

const exec = {
  kind: 'exec',
  request_id: ID,
  command_id: OTHER_ID,
  tool: 'sh',
  params: { command: 'echo "hi\\n"', n: [1, 2.5, null, { deep: true }] },
  deadline_ms: 30_000,
  files_in: [{ path: '/tmp/a', mode: 0o644, data_b64: 'aGVsbG8=' }],
  files_out: ['/tmp/b', '/tmp/c'],
  stdin_b64: 'c3RkaW4=',
  cwd: '/tmp',
  env: { A: 'b', Ü: '😀' },
} as const

export const HELPER_REQUESTS: HelperRequest[] = [
  exec as unknown as HelperRequest,
  { kind: 'reset', request_id: ID },
  { kind: 'save_state', request_id: ID, out_path: '/tmp/state' },
  { kind: 'restore_state', request_id: ID, from_path: '/tmp/state' },
  {
    kind: 'verify',
    request_id: ID,
    fs_hash_baseline: DIGEST,
    open_fd_count_baseline: 12,
    expected_vmm_api_state: 'running',
  },
  { kind: 'shutdown', request_id: ID },
  { kind: 'status', request_id: ID },
  { kind: 'query', request_id: ID, query_kind: 'OpenFdCount' },
  { kind: 'cancel', request_id: ID, command_id: OTHER_ID },
]

export const AGENT_REQUESTS: AgentRequest[] = [
  { kind: 'hello', request_id: ID, token: 'a'.repeat(43), client: 'agent' },
  exec as unknown as AgentRequest,
  ...(['verify', 'reset', 'status', 'subscribe'] as const).map((kind) => ({ kind, request_id: ID })),
  { kind: 'query', request_id: ID, query_kind: 'ProcessList' },
  { kind: 'cancel', request_id: ID, command_id: OTHER_ID },
]

export const CONTROL_REQUESTS: ControlRequest[] = [
  ...AGENT_REQUESTS,
  { kind: 'up', request_id: ID },
  { kind: 'down', request_id: ID, quit: false },
  { kind: 'recover', request_id: ID, reason: 'looked at it' },
  { kind: 'settings', request_id: ID },
  { kind: 'open', request_id: ID },
  { kind: 'audit_verify', request_id: ID },
  { kind: 'evidence_verify', request_id: ID, command_id: OTHER_ID },
]

export const UI_REQUESTS: unknown[] = [
  { action: 'auth', token: 'a'.repeat(43) },
  { action: 'auth', session: 'b'.repeat(43) },
  { id: 1, action: 'start' },
  { id: 2, action: 'stop' },
  { id: 3, action: 'reset' },
  { id: 4, action: 'recover', reason: 'looked at it' },
  { id: 5, action: 'run', command_id: ID, tool: 'sh', params: { command: 'id' }, deadline_ms: 1000 },
  { id: 6, action: 'cancel', command_id: ID },
  { id: 7, action: 'verify_evidence', command_id: ID },
  { id: 8, action: 'attend', seen: true },
  { id: 9, action: 'settings', set: {} },
  { id: 10, action: 'logs', source: 'app' },
  { id: 11, action: 'follow_log', source: null },
  { id: 12, action: 'diagnose' },
]

export const GUEST_MESSAGES: unknown[] = [
  {
    type: 'ToolResult',
    command_id: ID,
    exit_code: 0,
    stdout: 'out\n',
    stderr: '',
    evidence_hash: DIGEST,
    truncated: { stdout: false, stderr: false },
    stdout_bytes: 4,
    stderr_bytes: 0,
    encoding: { stdout: 'utf-8', stderr: 'utf-8' },
    duration_ms: 12,
    files: [
      { path: '/a', mode: 420, data_b64: 'YQ==' },
      { path: '/b', error: 'no such file' },
    ],
  },
  { type: 'EvidenceChunk', command_id: ID, seq: 1, chunk_data: 'e30=', chunk_size: 2, is_terminal: false },
  { type: 'GuestResponse', query_id: ID, query_kind: 'OpenFdCount', result: { open_fd_count: 9 }, ts: TS },
  {
    type: 'GuestResponse',
    query_id: ID,
    query_kind: 'ProcessList',
    result: { processes: [{ name: 'sh', pid: 7 }] },
    ts: TS,
  },
  {
    type: 'GuestResponse',
    query_id: ID,
    query_kind: 'MemUsage',
    result: { bytes_used: 1, bytes_total: 2 },
    ts: TS,
  },
  {
    type: 'Hello',
    protocol: 1,
    image_version: '1',
    image_digest: DIGEST,
    boot_id: ID,
    ram_nonce: HEX,
    frozen: true,
    vsock_cid: 3,
    tools: [{ name: 'sh' }],
  },
  {
    type: 'ResumeAck',
    epoch: 4,
    reseeded: true,
    clock_step_ms: 0.5,
    ram_nonce: '',
    dispatches: 0,
    overlay_bytes: 4096,
  },
  {
    type: 'HeartbeatAck',
    seq: 1,
    load: 0.1,
    bytes_used: 1,
    bytes_total: 2,
    processes: 3,
    overlay_bytes: 4096,
  },
  { type: 'WarmupAck' },
  { type: 'FreezeAck' },
  { type: 'KillAck', command_id: ID, killed: true },
  { type: 'Error', code: 'BAD_REQUEST', message: 'no', refused: 'Resume', command_id: ID },
  { type: 'Pong', nonce: '1-1' },
]

const wireError = { code: 'BUSY', message: 'One exec at a time.', layer: 'helper', next_step: 'Wait.' }

export const HELPER_MESSAGES: unknown[] = [
  { kind: 'boot_result', ok: true, vmm_api_state: 'running', boot_path: 'cold_boot', ts: TS, vsock_cid: 3 },
  { kind: 'error_response', request_id: ID, error: wireError },
  {
    kind: 'exec_response',
    request_id: ID,
    command_id: OTHER_ID,
    exit_code: 0,
    stdout: 'x',
    stderr: '',
    evidence_hash: DIGEST,
    epoch: 3,
  },
  { kind: 'cancel_response', request_id: ID, command_id: OTHER_ID, cancelled: false },
  { kind: 'shutdown_response', request_id: ID, ok: true },
  { kind: 'query_response', request_id: ID, query_kind: 'OpenFdCount', result: { open_fd_count: 3 } },
  { kind: 'event', event: 'vmm_state_changed', vmm_api_state: 'running', ts: TS },
  {
    kind: 'event',
    event: 'exec_output',
    command_id: OTHER_ID,
    stream: 'stdout',
    data_b64: 'eA==',
    seq: 2,
    ts: TS,
  },
  { kind: 'event', event: 'log', source: 'console', level: 'info', message: '\u001b[2J', ts: TS },
]

export const IMAGE_MANIFEST: ImageManifest = {
  schema: 'bsm-image/1',
  image_version: '1',
  recipe: 'base',
  arch: 'arm64',
  image_digest: DIGEST,
  kernel: { file: 'Image', size: 1024, digest: DIGEST },
  initrd: { file: 'initrd', size: 512, digest: DIGEST },
  rootfs: { file: 'rootfs', size: 1024, digest: DIGEST },
  cmdline: 'console=hvc0',
  tools: [{ name: 'sh', description: 'a shell', params_schema: { type: 'object' } }],
  inputs: [{ name: 'busybox', version: '1', digest: DIGEST }],
}
