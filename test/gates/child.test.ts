import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { until } from '../support/deadline.ts'
import { repository } from '../support/image.ts'
import { identify, isAlive, type ProcessId } from '../support/processes.ts'
import { runInGroup } from './child.ts'

const DEADLINE_MS = 30_000

/** Starts another that hears no Ctrl-C, and ends in its own way at one. */
const LEADER = `
const { spawn } = require('node:child_process'), { writeFileSync, renameSync } = require('node:fs')
process.on('SIGINT', () => { writeFileSync('ended', ''); process.exit(7) })
const other = spawn('sh', ['-c', 'trap "" INT; while :; do sleep 1000; done'], { stdio: 'ignore' })
writeFileSync('pids.next', JSON.stringify([process.pid, other.pid]))
renameSync('pids.next', 'pids')
setInterval(() => {}, 1000)
`

describe('a gate as a process group', () => {
  let folder: string
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'bsm-gates-'))))
  afterEach(() => rmSync(folder, { recursive: true }))

  async function started(): Promise<ProcessId[]> {
    const path = join(folder, 'pids')
    await until(DEADLINE_MS, 'the leader', () => existsSync(path))
    const pids = JSON.parse(readFileSync(path, 'utf8')) as number[]
    return pids.flatMap((pid) => identify(pid) ?? [])
  }
  const gone = (processes: ProcessId[]) =>
    until(DEADLINE_MS, 'the end of the group', () => !processes.some(isAlive))

  it('gives its exit code', async () => {
    const { signal } = new AbortController()
    expect(await runInGroup('sh', ['-c', 'exit 3'], { cwd: folder, signal })).toBe(3)
    expect(await runInGroup('sh', ['-c', 'kill -9 $$'], { cwd: folder, signal })).toBeNull()
    await expect(runInGroup('/no/such', [], { cwd: folder, signal })).rejects.toThrow('ENOENT')
  })

  it('ends by Ctrl-C in its own way, and leaves nobody behind', async () => {
    const interrupt = new AbortController()
    const end = runInGroup(process.execPath, ['-e', LEADER], { cwd: folder, signal: interrupt.signal })
    const processes = await started()
    expect(processes).toHaveLength(2)
    interrupt.abort()
    expect(await end).toBe(7)
    expect(existsSync(join(folder, 'ended'))).toBe(true)
    await gone(processes)
  })

  it('does not outlive whoever runs it', async () => {
    const program = `
      import { runInGroup } from ${JSON.stringify(join(repository, 'test/gates/child.ts'))}
      process.on('SIGTERM', () => process.exit(130))
      await runInGroup(process.execPath, ['-e', ${JSON.stringify(LEADER)}], { cwd: ${JSON.stringify(folder)}, signal: new AbortController().signal })`
    const runner = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
      cwd: repository,
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    const processes = await started()
    expect(processes).toHaveLength(2)
    runner.kill('SIGTERM')
    await gone(processes)
    expect(existsSync(join(folder, 'ended'))).toBe(false)
  })
})
