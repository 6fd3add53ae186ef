import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { lstatSync } from 'node:fs'
import { dispatchRecord, sha256 } from '../../../core/protocol/index.ts'
import { recomputeHash, storedChain } from '../../support/evidence.ts'
import { group } from '../check.ts'
import { streamed } from './exec.ts'

const check = group('evidence', '§3', 'vm')

const record = (data: Buffer | undefined) =>
  JSON.parse((data ?? Buffer.alloc(0)).toString('utf8')) as Record<string, unknown>

export const evidenceChecks = [
  check('recompute', 'the stored chain hashes to the evidence_hash of the response', async ({ vm }) => {
    const response = await vm.sh('echo out; echo err >&2')
    const { data } = storedChain(response)
    assert.equal(recomputeHash(response.command_id, data), response.evidence_hash)
  }),
  check('seq', 'seq starts at 1 and rises by 1, and the last chunk alone is terminal', async ({ vm }) => {
    const { chunks } = storedChain(await vm.sh('for i in 1 2 3 4 5; do echo $i; done'))
    assert.deepEqual(
      chunks.map(({ seq }) => seq),
      chunks.map((_chunk, at) => at + 1),
    )
    assert.deepEqual(
      chunks.map(({ is_terminal }) => is_terminal),
      chunks.map((_chunk, at) => at === chunks.length - 1),
    )
    assert.ok(chunks.length >= 3)
  }),
  check('sizes', 'chunk_size is the decoded length and at most 1 MiB', async ({ vm }) => {
    const { chunks, data } = storedChain(await vm.sh('head -c 2500000 /dev/zero'))
    for (const [at, chunk] of chunks.entries()) {
      assert.equal(chunk.chunk_size, data[at]?.length)
      assert.ok(chunk.chunk_size <= 1024 * 1024)
    }
  }),
  check('id', 'every chunk names the command', async ({ vm }) => {
    const response = await vm.exec('echo', { text: 'x' })
    for (const chunk of storedChain(response).chunks) assert.equal(chunk.command_id, response.command_id)
  }),
  check('first', 'the first chunk is the dispatch record, byte for byte', async ({ vm }) => {
    const dispatch = {
      command_id: randomUUID(),
      tool: 'sh',
      params: { command: 'true # ž "\\ ' },
      deadline_ms: 7_777,
    }
    const response = await vm.request('exec', dispatch)
    assert.deepEqual(storedChain(response).data[0], dispatchRecord(dispatch, response.epoch ?? -1))
  }),
  check('first-extras', 'the dispatch record binds files, stdin, cwd and env', async ({ vm }) => {
    const dispatch = {
      command_id: randomUUID(),
      tool: 'sh',
      params: { command: 'true' },
      deadline_ms: 9_000,
      files_in: [{ path: '/tmp/bound', mode: 0o600, data_b64: 'YWJj' }],
      files_out: ['/tmp/bound'],
      stdin_b64: 'c3RkaW4=',
      cwd: '/tmp',
      env: { B: '2', A: '1' },
    }
    const response = await vm.request('exec', dispatch)
    assert.deepEqual(storedChain(response).data[0], dispatchRecord(dispatch, response.epoch ?? -1))
  }),
  check('terminal', 'the terminal chunk is the result record', async ({ vm }) => {
    const response = await vm.sh('exit 9')
    const last = record(storedChain(response).data.at(-1))
    assert.equal(last['exit_code'], 9)
    assert.deepEqual(last['truncated'], { stdout: false, stderr: false })
    assert.equal(last['duration_ms'], response.duration_ms)
  }),
  check('terminal-files', 'the terminal chunk carries digests of the files out', async ({ vm }) => {
    const response = await vm.sh('printf abc > /tmp/digested', {
      files_out: ['/tmp/digested', '/tmp/not-there'],
    })
    const files = record(storedChain(response).data.at(-1))['files'] as Record<string, unknown>[]
    assert.equal(files[0]?.['digest'], sha256(Buffer.from('abc')))
    assert.ok(files[1]?.['error'])
  }),
  check('output', 'output chunks are a stream byte and the bytes of the live events', async ({ vm }) => {
    const response = await vm.sh('echo out; echo err >&2')
    const { data } = storedChain(response)
    const of = (stream: number) =>
      Buffer.concat(
        data
          .slice(1, -1)
          .filter((one) => one[0] === stream)
          .map((one) => one.subarray(1)),
      )
    assert.deepEqual(of(1), streamed(vm, response.command_id, 'stdout'))
    assert.deepEqual(of(2), streamed(vm, response.command_id, 'stderr'))
    assert.equal(of(1).toString(), 'out\n')
  }),
  check('event-seq', 'seq of a live event is the seq of its chunk', async ({ vm }) => {
    const response = await vm.sh('echo one; echo two >&2')
    const { data } = storedChain(response)
    const events = vm.events('exec_output').filter((one) => one.command_id === response.command_id)
    assert.ok(events.length >= 2)
    for (const { seq, data_b64 } of events)
      assert.deepEqual(data[seq - 1]?.subarray(1), Buffer.from(data_b64, 'base64'))
  }),
  check('every-byte', 'the chain carries every byte of an output that the result cuts', async ({ vm }) => {
    const response = await vm.sh('head -c 3000000 /dev/zero | tr "\\0" q')
    assert.equal(response.truncated?.stdout, true)
    const bytes = storedChain(response)
      .data.slice(1, -1)
      .reduce((sum, one) => sum + one.length - 1, 0)
    assert.equal(bytes, 3_000_000)
  }),
  check('unknown-tool', 'an unknown tool has a chain of two records', async ({ vm }) => {
    const response = await vm.exec('frobnicate', { a: 1 })
    const { chunks, data } = storedChain(response)
    assert.equal(chunks.length, 2)
    assert.equal(record(data[0])['tool'], 'frobnicate')
    assert.equal(record(data[1])['exit_code'], 127)
    assert.equal(record(data[1])['error'], 'TOOL_NOT_REGISTERED')
  }),
  check('timeout', 'a deadline is in the terminal record', async ({ vm }) => {
    const response = await vm.sh('echo x; sleep 60', { deadline_ms: 1_000 })
    const last = record(storedChain(response).data.at(-1))
    assert.equal(last['exit_code'], 137)
    assert.equal(last['error'], 'SANDBOX_TOOL_TIMEOUT')
  }),
  check(
    'no-secret-in-path',
    'the chain lies in evidence/ of the state directory, readable by its owner alone',
    async ({ vm }) => {
      const response = await vm.exec('echo', { text: 'x' })
      const path = response.evidence_path ?? ''
      assert.equal(path, vm.scratch.path('state', 'evidence', `${response.command_id}.ndjson`))
      assert.equal(lstatSync(path).mode & 0o777, 0o600)
    },
  ),
  check('differs', 'the same command twice has two hashes', async ({ vm }) => {
    const first = await vm.exec('echo', { text: 'x' })
    const second = await vm.exec('echo', { text: 'x' })
    assert.notEqual(first.evidence_hash, second.evidence_hash)
  }),
  check('bound-to-bytes', 'a changed byte of the chain changes the hash', async ({ vm }) => {
    const response = await vm.exec('echo', { text: 'x' })
    const { data } = storedChain(response)
    const changed = data.map((one, at) =>
      at === 1 ? Buffer.concat([one.subarray(0, -1), Buffer.from('!')]) : one,
    )
    assert.notEqual(recomputeHash(response.command_id, changed), response.evidence_hash)
  }),
]
