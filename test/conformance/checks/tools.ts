import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { ExecRequest } from '../../../core/protocol/index.ts'
import type { Helper } from '../../support/helper.ts'
import { group } from '../check.ts'
import { sentence } from '../expect.ts'

const check = group('tools', '§3', 'vm')
type Params = ExecRequest['params']

/** The guest refuses the parameters: 254 with a sentence, and nothing ran. */
async function refusesParams(vm: Helper, tool: string, params: Params): Promise<void> {
  const { exit_code, error, stdout, evidence_hash } = await vm.exec(tool, params)
  assert.equal(exit_code, 254)
  assert.equal(error?.code, 'BAD_REQUEST')
  sentence(error.message)
  assert.equal(stdout, '')
  assert.ok(evidence_hash, 'a refusal by the guest has its chain too')
}

export const toolChecks = [
  check('echo', 'echo gives its text back', async ({ vm }) => {
    assert.equal((await vm.exec('echo', { text: 'hello' })).stdout.trimEnd(), 'hello')
  }),
  check('echo-unicode', 'echo keeps every character', async ({ vm }) => {
    const text = 'naïve → 🦊 \u0000\u001b[31m"quoted"\\ é'
    assert.ok((await vm.exec('echo', { text })).stdout.startsWith(text))
  }),
  check('echo-empty', 'echo takes an empty text', async ({ vm }) => {
    assert.equal((await vm.exec('echo', { text: '' })).stdout.trimEnd(), '')
  }),
  check('echo-big', 'echo takes half a mebibyte', async ({ vm }) => {
    const text = 'x'.repeat(512 * 1024)
    const response = await vm.exec('echo', { text })
    assert.equal(response.stdout.trimEnd().length, text.length)
  }),
  check('whoami', 'whoami is the unprivileged user', async ({ vm }) => {
    assert.equal((await vm.exec('whoami', {})).stdout.trim(), 'sandbox')
  }),
  check('uname', 'uname names Linux on ARM64', async ({ vm }) => {
    assert.match((await vm.exec('uname', {})).stdout, /Linux.*aarch64/s)
  }),
  check('cat', 'cat gives a file', async ({ vm }) => {
    assert.match((await vm.exec('cat', { path: '/etc/passwd' })).stdout, /^root:/)
  }),
  check('cat-missing', 'cat of nothing fails with words on stderr', async ({ vm }) => {
    const response = await vm.exec('cat', { path: '/no/such/file' })
    assert.notEqual(response.exit_code, 0)
    assert.match(response.stderr, /no such file/i)
    assert.equal(response.stdout, '')
  }),
  check('ls', 'ls lists a directory', async ({ vm }) => {
    assert.match((await vm.exec('ls', { path: '/' })).stdout, /\betc\b/)
  }),
  check('ls-default', 'ls without a path lists the working directory', async ({ vm }) => {
    await vm.sh('touch seen-by-ls')
    assert.match((await vm.exec('ls', {})).stdout, /seen-by-ls/)
  }),
  check('ls-all', 'ls shows hidden files only when asked', async ({ vm }) => {
    await vm.sh('touch .hidden-one')
    assert.doesNotMatch((await vm.exec('ls', {})).stdout, /hidden-one/)
    assert.match((await vm.exec('ls', { all: true })).stdout, /hidden-one/)
  }),
  check('ls-long', 'ls shows modes when asked', async ({ vm }) => {
    assert.match((await vm.exec('ls', { path: '/', long: true })).stdout, /drwx/)
  }),
  check('env', 'env shows HOME and PATH and nothing of the host', async ({ vm, binary }) => {
    const { stdout } = await vm.exec('env', {})
    assert.match(stdout, /^HOME=\/home\/sandbox$/m)
    assert.match(stdout, /^PATH=/m)
    assert.doesNotMatch(stdout, /BSM_TEST_MARKER/, `environment of ${binary.name} leaks into the guest`)
  }),
  check('sh', 'sh runs a command line', async ({ vm }) => {
    assert.equal((await vm.sh('echo $((6 * 7)) | tr 4 5')).stdout, '52\n')
  }),
  check('fs-write-read', 'fs.write and fs.read are binary safe', async ({ vm }) => {
    const data = Buffer.from(Array.from({ length: 512 }, (_none, at) => at % 256))
    const path = `/tmp/${randomUUID()}`
    assert.equal((await vm.exec('fs.write', { path, data_b64: data.toString('base64') })).exit_code, 0)
    const read = await vm.exec('fs.read', { path })
    assert.equal(read.encoding?.stdout, 'base64')
    assert.deepEqual(Buffer.from(read.stdout, 'base64'), data)
  }),
  check('fs-write-text', 'fs.write takes text', async ({ vm }) => {
    const path = `/tmp/${randomUUID()}`
    await vm.exec('fs.write', { path, text: 'žluťoučký' })
    assert.equal((await vm.exec('cat', { path })).stdout, 'žluťoučký')
  }),
  check('fs-append', 'fs.write appends when asked and replaces when not', async ({ vm }) => {
    const path = `/tmp/${randomUUID()}`
    await vm.exec('fs.write', { path, text: 'one' })
    await vm.exec('fs.write', { path, text: 'two', append: true })
    assert.equal((await vm.exec('cat', { path })).stdout, 'onetwo')
    await vm.exec('fs.write', { path, text: '3' })
    assert.equal((await vm.exec('cat', { path })).stdout, '3')
  }),
  check('fs-mode', 'fs.write sets the mode', async ({ vm }) => {
    const path = `/tmp/${randomUUID()}`
    await vm.exec('fs.write', { path, text: '#!/bin/sh\necho ran\n', mode: 0o755 })
    assert.equal((await vm.sh(path)).stdout, 'ran\n')
  }),
  check('fs-range', 'fs.read gives a range', async ({ vm }) => {
    const path = `/tmp/${randomUUID()}`
    await vm.exec('fs.write', { path, text: '0123456789' })
    assert.equal((await vm.exec('fs.read', { path, offset: 3, length: 4 })).stdout, '3456')
    assert.equal((await vm.exec('fs.read', { path, offset: 8, length: 100 })).stdout, '89')
  }),
  check('fs-list', 'fs.list gives JSON', async ({ vm }) => {
    const { stdout } = await vm.exec('fs.list', { path: '/etc' })
    assert.match(JSON.stringify(JSON.parse(stdout)), /"passwd"/)
  }),
  check('fs-stat', 'fs.stat gives JSON with the size', async ({ vm }) => {
    const path = `/tmp/${randomUUID()}`
    await vm.exec('fs.write', { path, text: '12345' })
    assert.equal((JSON.parse((await vm.exec('fs.stat', { path })).stdout) as { size: number }).size, 5)
  }),
  check('fs-read-missing', 'fs.read of nothing fails with a sentence', async ({ vm }) => {
    const response = await vm.exec('fs.read', { path: '/no/such' })
    assert.notEqual(response.exit_code, 0)
    sentence(response.stderr || response.error?.message || '')
  }),
  check('fs-write-denied', 'fs.write runs as the tool user, not as root', async ({ vm }) => {
    const response = await vm.exec('fs.write', { path: '/etc/passwd', text: 'owned' })
    assert.notEqual(response.exit_code, 0)
    assert.match((await vm.exec('cat', { path: '/etc/passwd' })).stdout, /^root:/)
  }),
  check('fs-read-denied', 'fs.read runs as the tool user, not as root', async ({ vm }) => {
    assert.notEqual((await vm.exec('fs.read', { path: '/proc/1/environ' })).exit_code, 0)
  }),
  check('unknown', 'an unknown tool is 127, TOOL_NOT_REGISTERED, with a chain', async ({ vm }) => {
    const response = await vm.exec('frobnicate', {})
    assert.equal(response.exit_code, 127)
    assert.equal(response.error?.code, 'TOOL_NOT_REGISTERED')
    sentence(response.error.message)
    assert.ok(response.evidence_hash)
  }),
  check('unknown-path', 'a tool name is no path to a program', async ({ vm }) => {
    assert.equal((await vm.exec('/bin/sh', {})).exit_code, 127)
    assert.equal((await vm.exec('../bin/sh', {})).exit_code, 127)
  }),
  check('unknown-proto', 'names of JavaScript and Go objects are no tools', async ({ vm }) => {
    for (const tool of ['__proto__', 'constructor', 'toString'])
      assert.equal((await vm.exec(tool, {})).exit_code, 127)
  }),
  check('unknown-hostile', 'a hostile tool name is refused and not run', async ({ vm }) => {
    const { exit_code, stdout } = await vm.exec('echo; id \u001b[2J\n', {})
    assert.equal(exit_code, 127)
    assert.equal(stdout, '')
  }),
  ...(
    [
      ['echo-none', 'echo', {}],
      ['echo-number', 'echo', { text: 7 }],
      ['echo-extra', 'echo', { text: 'x', colour: 'red' }],
      ['echo-case', 'echo', { Text: 'x' }],
      ['echo-null', 'echo', { text: null }],
      ['whoami-extra', 'whoami', { user: 'root' }],
      ['cat-none', 'cat', {}],
      ['cat-list', 'cat', { path: ['/etc/passwd'] }],
      ['cat-nul', 'cat', { path: '/etc/\u0000passwd' }],
      ['ls-type', 'ls', { all: 'yes' }],
      ['sh-none', 'sh', {}],
      ['sh-nul', 'sh', { command: 'echo a\u0000b' }],
      ['read-negative', 'fs.read', { path: '/etc/passwd', offset: -1 }],
      ['read-fraction', 'fs.read', { path: '/etc/passwd', length: 1.5 }],
      ['write-both', 'fs.write', { path: '/tmp/x', text: 'a', data_b64: 'YQ==' }],
      ['write-none', 'fs.write', { path: '/tmp/x' }],
      ['write-not-base64', 'fs.write', { path: '/tmp/x', data_b64: '***' }],
      ['write-setuid', 'fs.write', { path: '/tmp/x', text: 'a', mode: 0o4755 }],
    ] as [string, string, Params][]
  ).map(([id, tool, params]) =>
    check(`refuses-${id}`, `parameters refused: ${tool} ${JSON.stringify(params)}`, ({ vm }) =>
      refusesParams(vm, tool, params),
    ),
  ),
]
