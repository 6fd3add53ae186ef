import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { LIMITS, type ExecResponse } from '../../../core/protocol/index.ts'
import { group } from '../check.ts'
import { refused } from '../expect.ts'

const check = group('files', '§2', 'vm')

const base64 = (data: string | Buffer) => Buffer.from(data).toString('base64')
const fileIn = (path: string, data: string | Buffer, mode = 0o644) => ({ path, mode, data_b64: base64(data) })

/** The one file that came out: its bytes, or why there are none. */
function only(response: ExecResponse): { data?: Buffer; error?: string; mode?: number } {
  assert.equal(response.files?.length, 1, JSON.stringify(response.files ?? response.error))
  const [file] = response.files
  if (file === undefined) throw new Error('unreachable: length was checked')
  return 'error' in file
    ? { error: file.error }
    : { data: Buffer.from(file.data_b64, 'base64'), mode: file.mode }
}

export const fileChecks = [
  check('in', 'a file sent with a dispatch is there for its tool', async ({ vm }) => {
    const path = `/home/sandbox/${randomUUID()}`
    assert.equal((await vm.exec('cat', { path }, { files_in: [fileIn(path, 'sent')] })).stdout, 'sent')
  }),
  check('in-relative', 'a relative path is below the home', async ({ vm }) => {
    const name = randomUUID()
    const response = await vm.sh(`cat /home/sandbox/${name}`, { files_in: [fileIn(name, 'here')] })
    assert.equal(response.stdout, 'here', JSON.stringify(response.error))
  }),
  check('in-mode', 'a file sent executable can be executed', async ({ vm }) => {
    const path = `/tmp/${randomUUID()}`
    const response = await vm.sh(path, { files_in: [fileIn(path, '#!/bin/sh\necho ran\n', 0o755)] })
    assert.equal(response.stdout, 'ran\n')
  }),
  check('in-owner', 'a file sent belongs to the tool user', async ({ vm }) => {
    const path = `/tmp/${randomUUID()}`
    const response = await vm.sh(`stat -c %u:%g ${path}`, { files_in: [fileIn(path, 'x')] })
    assert.equal(response.stdout, '1000:1000\n')
  }),
  check('in-nested', 'directories on the way are made', async ({ vm }) => {
    const path = `/home/sandbox/${randomUUID()}/a/b`
    assert.equal((await vm.exec('cat', { path }, { files_in: [fileIn(path, 'deep')] })).stdout, 'deep')
  }),
  check('in-many', 'a hundred files arrive', async ({ vm }) => {
    const dir = `/tmp/${randomUUID()}`
    const files_in = Array.from({ length: 100 }, (_none, at) => fileIn(`${dir}/${at}`, `${at}\n`))
    assert.equal((await vm.sh(`cat ${dir}/* | sort -n | tail -1`, { files_in })).stdout, '99\n')
  }),
  check('in-system', 'a file cannot replace one of the system', async ({ vm }) => {
    const response = await vm.sh('echo ran', { files_in: [fileIn('/etc/passwd', 'owned')] })
    assert.equal(response.exit_code, 254)
    assert.ok(response.error)
    assert.equal(response.stdout, '', 'the tool does not run without its files')
    assert.match((await vm.exec('cat', { path: '/etc/passwd' })).stdout, /^root:/)
  }),
  check('in-traversal', 'a path with .. does not lead to the system', async ({ vm }) => {
    const path = '/home/sandbox/../../etc/bsm-planted'
    await vm.ask({
      kind: 'exec',
      command_id: randomUUID(),
      tool: 'echo',
      params: { text: 'x' },
      deadline_ms: 9_000,
      files_in: [fileIn(path, 'planted')],
    })
    assert.notEqual((await vm.exec('cat', { path: '/etc/bsm-planted' })).exit_code, 0)
  }),
  check('in-symlink', 'a planted link does not lead a file to the system', async ({ vm }) => {
    await vm.sh('rm -rf ~/link; ln -s /etc ~/link; ln -s /etc/bsm-planted ~/leaf')
    for (const path of ['/home/sandbox/link/bsm-planted', '/home/sandbox/leaf'])
      await vm.exec('echo', { text: 'x' }, { files_in: [fileIn(path, 'planted')] })
    assert.notEqual((await vm.exec('cat', { path: '/etc/bsm-planted' })).exit_code, 0)
  }),
  check('in-nul', 'a path with a NUL byte is refused', async ({ vm }) => {
    const response = await vm.ask({
      kind: 'exec',
      command_id: randomUUID(),
      tool: 'echo',
      params: { text: 'x' },
      deadline_ms: 9_000,
      files_in: [fileIn('/tmp/a\u0000b', 'x')],
    })
    refused(response, 'BAD_REQUEST')
  }),
  check('out', 'a file asked for comes back with its mode', async ({ vm }) => {
    const path = `/tmp/${randomUUID()}`
    const file = only(await vm.sh(`printf made > ${path}; chmod 640 ${path}`, { files_out: [path] }))
    assert.equal(file.data?.toString(), 'made')
    assert.equal((file.mode ?? 0) & 0o777, 0o640)
  }),
  check('out-binary', 'a binary file comes back byte for byte', async ({ vm }) => {
    const path = `/tmp/${randomUUID()}`
    const data = Buffer.from(Array.from({ length: 70_000 }, (_none, at) => (at * 7) % 256))
    const response = await vm.sh('true', { files_in: [fileIn(path, data)], files_out: [path] })
    assert.deepEqual(only(response).data, data)
  }),
  check('out-empty', 'an empty file comes back empty', async ({ vm }) => {
    const path = `/tmp/${randomUUID()}`
    assert.equal(only(await vm.sh(`: > ${path}`, { files_out: [path] })).data?.length, 0)
  }),
  check('out-missing', 'a file that is not there comes as an error beside the result', async ({ vm }) => {
    const response = await vm.sh('echo ok', { files_out: ['/tmp/not-there'] })
    assert.equal(response.exit_code, 0)
    assert.ok(only(response).error)
  }),
  check('out-directory', 'a directory comes as an error', async ({ vm }) => {
    assert.ok(only(await vm.sh('true', { files_out: ['/tmp'] })).error)
  }),
  check('out-fifo', 'a FIFO comes as an error and blocks nothing', async ({ vm }) => {
    const path = `/tmp/${randomUUID()}`
    assert.ok(only(await vm.sh(`mkfifo ${path}`, { files_out: [path] })).error)
  }),
  check('out-device', 'a device comes as an error and never ends nothing', async ({ vm }) => {
    assert.ok(only(await vm.sh('true', { files_out: ['/dev/zero'] })).error)
  }),
  check('out-unreadable', 'a file the tool may not read comes as an error', async ({ vm }) => {
    assert.ok(only(await vm.sh('true', { files_out: ['/proc/1/environ'] })).error)
  }),
  check('out-link-unreadable', 'a link to a file the tool may not read comes as an error', async ({ vm }) => {
    const path = `/tmp/${randomUUID()}`
    assert.ok(only(await vm.sh(`ln -s /proc/1/environ ${path}`, { files_out: [path] })).error)
  }),
  check('out-after-deadline', 'files come back after a deadline too', async ({ vm }) => {
    const path = `/tmp/${randomUUID()}`
    const response = await vm.sh(`printf partial > ${path}; sleep 60`, {
      files_out: [path],
      deadline_ms: 1_500,
    })
    assert.equal(response.exit_code, 137)
    assert.equal(only(response).data?.toString(), 'partial')
  }),
  check('out-order', 'files come back in the order they were asked for', async ({ vm }) => {
    const response = await vm.sh('echo 1 > /tmp/o1; echo 2 > /tmp/o2', {
      files_out: ['/tmp/o2', '/tmp/none', '/tmp/o1'],
    })
    assert.deepEqual(
      response.files?.map((file) => file.path),
      ['/tmp/o2', '/tmp/none', '/tmp/o1'],
    )
  }),
  check('limit-in', 'more than 8 MiB in is refused', async ({ vm }) => {
    refused(
      await vm.ask({
        kind: 'exec',
        command_id: randomUUID(),
        tool: 'echo',
        params: { text: 'x' },
        deadline_ms: 20_000,
        files_in: [fileIn('/tmp/big', Buffer.alloc(LIMITS.filesBytes + 1))],
      }),
      'BAD_REQUEST',
    )
  }),
  check('limit-in-sum', 'files that exceed 8 MiB only together are refused', async ({ vm }) => {
    const half = Buffer.alloc(LIMITS.filesBytes / 2 + 1)
    refused(
      await vm.ask({
        kind: 'exec',
        command_id: randomUUID(),
        tool: 'echo',
        params: { text: 'x' },
        deadline_ms: 20_000,
        files_in: [fileIn('/tmp/b1', half), fileIn('/tmp/b2', half)],
      }),
      'BAD_REQUEST',
    )
  }),
  check('limit-at', 'exactly 8 MiB in is taken', async ({ vm }) => {
    const response = await vm.sh('wc -c < /tmp/full; rm /tmp/full', {
      files_in: [fileIn('/tmp/full', Buffer.alloc(LIMITS.filesBytes, 1))],
      deadline_ms: 60_000,
    })
    assert.equal(response.stdout.trim(), String(LIMITS.filesBytes), JSON.stringify(response.error))
  }),
  check('limit-out', 'a file of more than 8 MiB comes as an error', async ({ vm }) => {
    const response = await vm.sh('head -c 8388609 /dev/zero > /tmp/huge', {
      files_out: ['/tmp/huge'],
      deadline_ms: 60_000,
    })
    assert.ok(only(response).error)
    await vm.sh('rm /tmp/huge')
  }),
  check('limit-both', 'in and out count together', async ({ vm }) => {
    const response = await vm.sh('true', {
      files_in: [fileIn('/tmp/five', Buffer.alloc(5 * 1024 * 1024))],
      files_out: ['/tmp/five'],
      deadline_ms: 60_000,
    })
    assert.ok(only(response).error, '5 MiB in and 5 MiB out are more than 8')
  }),
]
