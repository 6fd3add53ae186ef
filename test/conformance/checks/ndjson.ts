import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { LIMITS } from '../../../core/protocol/index.ts'
import type { Helper } from '../../support/helper.ts'
import { residentBytes } from '../../support/processes.ts'
import { group } from '../check.ts'
import { refused, sentence, stillServes } from '../expect.ts'

const check = group('ndjson', '§2', 'vm')

/** Writes bytes that are no request and expects a sentence about it. */
async function complains(vm: Helper, bytes: string | Uint8Array): Promise<void> {
  const after = vm.mark
  vm.raw(bytes)
  const event = await vm.event('protocol_error', { after })
  sentence(event.message ?? '')
  await vm.status()
}

/** A request whose id can be read but which cannot be taken: refused under its id. */
async function refusesRequest(vm: Helper, request: Record<string, unknown>): Promise<void> {
  refused(await vm.ask(request), 'BAD_REQUEST')
}

const exec = (changes: Record<string, unknown>) => ({
  kind: 'exec',
  command_id: randomUUID(),
  tool: 'echo',
  params: { text: 'x' },
  deadline_ms: 5_000,
  ...changes,
})

export const ndjsonChecks = [
  check('garbage', 'a line that is not JSON gets protocol_error', ({ vm }) => complains(vm, 'garbage\n')),
  check('cut-json', 'a line with half a JSON object gets protocol_error', ({ vm }) =>
    complains(vm, '{"kind":"status","request_id":"\n'),
  ),
  ...['42', '"status"', 'null', 'true', '[]', '[{"kind":"status"}]'].map((text) =>
    check(`not-object-${text.replace(/\W+/g, '-')}`, `a line that is ${text} gets protocol_error`, ({ vm }) =>
      complains(vm, `${text}\n`),
    ),
  ),
  check('empty-object', 'an empty object gets protocol_error', ({ vm }) => complains(vm, '{}\n')),
  check('two-values', 'two JSON objects on one line get protocol_error', ({ vm }) =>
    complains(vm, '{"kind":"status"}{"kind":"status"}\n'),
  ),
  check('nul', 'NUL bytes get protocol_error', ({ vm }) => complains(vm, Buffer.from('\0\0\0\n'))),
  check('invalid-utf8', 'a line that is not UTF-8 gets protocol_error', ({ vm }) =>
    complains(vm, Buffer.from([0xff, 0xfe, 0xfd, 0x0a])),
  ),
  check(
    'invalid-utf8-inside',
    'invalid UTF-8 inside a string is refused, never replaced and run',
    async ({ vm }) => {
      const after = vm.mark
      const request_id = randomUUID()
      const [head, tail] = JSON.stringify({ request_id, ...exec({ params: { text: 'A@B' } }) }).split('@')
      vm.raw(Buffer.concat([Buffer.from(`${head}`), Buffer.from([0xc3, 0x28]), Buffer.from(`${tail}\n`)]))
      const { value } = await vm.find(
        'a refusal',
        (message, raw) =>
          raw['request_id'] === request_id ||
          (message.kind === 'event' && message.event === 'protocol_error'),
        { after },
      )
      assert.notEqual(value['kind'], 'exec_response')
    },
  ),
  check('repeated-key', 'a line that has a key twice gets protocol_error', ({ vm }) =>
    complains(vm, `{"kind":"status","request_id":"${randomUUID()}","k\\u0069nd":"status"}\n`),
  ),
  check('no-kind', 'a request without kind is refused under its id', ({ vm }) => refusesRequest(vm, {})),
  check('unknown-kind', 'an unknown kind is refused under its id', ({ vm }) =>
    refusesRequest(vm, { kind: 'frobnicate' }),
  ),
  check('kind-number', 'a kind that is a number is refused under its id', ({ vm }) =>
    refusesRequest(vm, { kind: 7 }),
  ),
  check('response-kind', 'a response sent as a request is refused', ({ vm }) =>
    refusesRequest(vm, { kind: 'shutdown_response', ok: true }),
  ),
  check('no-id', 'a request without request_id gets protocol_error', ({ vm }) =>
    complains(vm, '{"kind":"status"}\n'),
  ),
  check('id-number', 'a request_id that is a number gets protocol_error', ({ vm }) =>
    complains(vm, '{"kind":"status","request_id":7}\n'),
  ),
  check('id-no-uuid', 'a request_id that is no UUID gets protocol_error', ({ vm }) =>
    complains(vm, '{"kind":"status","request_id":"seven"}\n'),
  ),
  check('extra-field', 'an unknown field is refused', ({ vm }) =>
    refusesRequest(vm, { kind: 'status', colour: 'blue' }),
  ),
  check('exec-no-fields', 'exec without its fields is refused', ({ vm }) =>
    refusesRequest(vm, { kind: 'exec' }),
  ),
  ...(
    [
      ['command-id-missing', { command_id: undefined }],
      ['command-id-no-uuid', { command_id: 'seven' }],
      ['tool-missing', { tool: undefined }],
      ['tool-number', { tool: 7 }],
      ['tool-empty', { tool: '' }],
      ['params-missing', { params: undefined }],
      ['params-string', { params: '{}' }],
      ['params-array', { params: [] }],
      ['params-null', { params: null }],
      ['deadline-missing', { deadline_ms: undefined }],
      ['deadline-string', { deadline_ms: '5000' }],
      ['deadline-fraction', { deadline_ms: 500.5 }],
      ['deadline-99', { deadline_ms: 99 }],
      ['deadline-negative', { deadline_ms: -1 }],
      ['deadline-too-long', { deadline_ms: LIMITS.deadlineMaxMs + 1 }],
      ['stdin-not-base64', { stdin_b64: '***' }],
      ['files-in-no-list', { files_in: {} }],
      ['files-in-no-data', { files_in: [{ path: 'a', mode: 420 }] }],
      ['files-in-mode-string', { files_in: [{ path: 'a', mode: '644', data_b64: '' }] }],
      ['files-in-mode-setuid', { files_in: [{ path: 'a', mode: 0o4755, data_b64: '' }] }],
      ['files-out-number', { files_out: [7] }],
      ['cwd-number', { cwd: 7 }],
      ['env-list', { env: ['A=1'] }],
      ['env-number', { env: { A: 1 } }],
    ] as [string, Record<string, unknown>][]
  ).map(([id, changes]) =>
    check(`exec-${id}`, `exec is refused: ${id.replaceAll('-', ' ')}`, ({ vm }) =>
      refusesRequest(vm, exec(changes)),
    ),
  ),
  check('query-kind', 'a query of an unknown kind is refused', ({ vm }) =>
    refusesRequest(vm, { kind: 'query', query_kind: 'Weather' }),
  ),
  check('cancel-no-id', 'cancel without command_id is refused', ({ vm }) =>
    refusesRequest(vm, { kind: 'cancel' }),
  ),
  check('save-no-path', 'save_state without out_path is refused', ({ vm }) =>
    refusesRequest(vm, { kind: 'save_state' }),
  ),
  check('verify-no-baselines', 'verify without baselines is refused', ({ vm }) =>
    refusesRequest(vm, { kind: 'verify' }),
  ),
  check('deep', 'JSON nested deeper than 64 is refused', ({ vm }) => {
    const nested = `${'['.repeat(LIMITS.jsonDepth + 1)}${']'.repeat(LIMITS.jsonDepth + 1)}`
    return complains(vm, `{"kind":"status","request_id":"${randomUUID()}","x":${nested}}\n`)
  }),
  check('very-deep', 'a million open brackets are refused and overflow nothing', ({ vm }) =>
    complains(vm, `${'['.repeat(1_000_000)}\n`),
  ),
  check('deep-in-string', 'brackets inside a string are no nesting', async ({ vm }) => {
    const text = '['.repeat(200)
    assert.equal((await vm.exec('echo', { text })).stdout.trimEnd(), text)
  }),
  check('too-long', 'a line over 24 MiB is refused and the next one is served', async ({ vm }) => {
    const after = vm.mark
    vm.raw(Buffer.alloc(LIMITS.ndjsonLineBytes + 1, 'a'))
    vm.raw('\n')
    sentence((await vm.event('protocol_error', { after })).message ?? '')
    assert.equal(vm.events('protocol_error', after).length, 1, 'one complaint a line')
    await stillServes(vm)
  }),
  check('endless', 'a line of 300 MiB without end takes no memory', async ({ vm }) => {
    await vm.status()
    const before = residentBytes(vm.pid)
    const block = Buffer.alloc(4 * 1024 * 1024, 'a')
    for (let sent = 0; sent < 75; sent += 1)
      if (!vm.child.stdin.write(block)) await new Promise((drained) => vm.child.stdin.once('drain', drained))
    vm.raw('\n')
    await vm.status()
    const grown = residentBytes(vm.pid) - before
    assert.ok(grown < 150 * 1024 * 1024, `grew by ${grown} bytes`)
  }),
  check('long-but-allowed', 'a request just under 24 MiB is served', async ({ vm }) => {
    const request_id = randomUUID()
    const line = JSON.stringify({ kind: 'status', request_id })
    vm.raw(`${line}${' '.repeat(LIMITS.ndjsonLineBytes - line.length)}\n`)
    assert.equal((await vm.response(request_id)).message.kind, 'status_response')
  }),
  check('crlf', 'CRLF line ends are taken', async ({ vm }) => {
    const request_id = randomUUID()
    vm.raw(`${JSON.stringify({ kind: 'status', request_id })}\r\n`)
    assert.equal((await vm.response(request_id)).message.kind, 'status_response')
  }),
  check('blank', 'blank lines are no requests', async ({ vm }) => {
    const after = vm.mark
    vm.raw('\n\n  \n\r\n')
    await vm.status()
    assert.deepEqual(vm.events('protocol_error', after), [])
  }),
  check('whitespace', 'white space around and inside the object is taken', async ({ vm }) => {
    const request_id = randomUUID()
    vm.raw(`  { "kind" : "status" ,\t"request_id" : "${request_id}" }  \n`)
    assert.equal((await vm.response(request_id)).message.kind, 'status_response')
  }),
  check('byte-by-byte', 'a request written byte by byte is one request', async ({ vm }) => {
    const request_id = randomUUID()
    for (const byte of Buffer.from(`${JSON.stringify({ kind: 'status', request_id })}\n`))
      await new Promise((written) => vm.child.stdin.write(Buffer.of(byte), written))
    assert.equal((await vm.response(request_id)).message.kind, 'status_response')
  }),
  check('split-utf8', 'a character split between two writes arrives whole', async ({ vm }) => {
    const request_id = randomUUID()
    const bytes = Buffer.from(`${JSON.stringify({ request_id, ...exec({ params: { text: 'añb' } }) })}\n`)
    const cut = bytes.indexOf(0xc3) + 1
    await new Promise((written) => vm.child.stdin.write(bytes.subarray(0, cut), written))
    vm.raw(bytes.subarray(cut))
    const { message } = await vm.response(request_id)
    assert.equal(message.kind === 'exec_response' && message.stdout.trimEnd(), 'añb')
  }),
  check('glued', 'two hundred requests in one write get two hundred responses', async ({ vm }) => {
    const ids = Array.from({ length: 200 }, () => randomUUID())
    vm.raw(ids.map((request_id) => `${JSON.stringify({ kind: 'status', request_id })}\n`).join(''))
    const responses = await Promise.all(ids.map((id) => vm.response(id)))
    assert.ok(responses.every(({ message }) => message.kind === 'status_response'))
  }),
  check('garbage-between', 'garbage between two requests costs neither', async ({ vm }) => {
    const ids = [randomUUID(), randomUUID()]
    vm.raw(ids.map((request_id) => JSON.stringify({ kind: 'status', request_id })).join('\n%%%\n') + '\n')
    for (const id of ids) assert.equal((await vm.response(id)).message.kind, 'status_response')
  }),
  check('uppercase-uuid', 'a response repeats the request_id exactly as it was sent', async ({ vm }) => {
    const request_id = randomUUID().toUpperCase()
    assert.equal((await vm.ask({ kind: 'status', request_id })).request_id, request_id)
  }),
  check('proto', 'a __proto__ key is data and pollutes nothing', async ({ vm }) => {
    const request_id = randomUUID()
    vm.raw(
      `{"kind":"exec","request_id":"${request_id}","command_id":"${randomUUID()}","tool":"echo","deadline_ms":5000,` +
        `"params":{"text":"x","__proto__":{"polluted":true}}}\n`,
    )
    const { message } = await vm.response(request_id)
    if (message.kind === 'exec_response') assert.equal(message.stdout.trimEnd(), 'x')
    else refused(message, 'BAD_REQUEST')
    await stillServes(vm)
  }),
  check('slow-reader', 'a reader that pauses loses nothing', async ({ vm }) => {
    vm.child.stdout.pause()
    const run = vm.sh('head -c 3000000 /dev/zero | tr "\\0" a')
    const statuses = Array.from({ length: 50 }, () => vm.request('status', {}, 60_000))
    await new Promise((written) => vm.child.stdin.write('\n', written))
    vm.child.stdout.resume()
    const result = await run
    assert.equal(result.stdout_bytes, 3_000_000)
    assert.equal((await Promise.all(statuses)).length, 50)
    const seen = vm
      .events('exec_output')
      .filter((one) => one.command_id === result.command_id)
      .reduce((sum, one) => sum + Buffer.byteLength(one.data_b64, 'base64'), 0)
    assert.equal(seen, 3_000_000)
  }),
]
