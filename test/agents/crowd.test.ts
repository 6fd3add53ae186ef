import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { randomUUID } from 'node:crypto'
import { Sandbox, type Control } from '../../client/index.ts'
import type { AgentEvent, AgentExecResponse } from '../../core/protocol/index.ts'
import { AppProcess, helperOf, whenApp } from '../support/app.ts'
import { within } from '../support/deadline.ts'
import { freshImage } from '../support/image.ts'
import { Scratch } from '../support/scratch.ts'

/** Two agents and a person at one app and one VM (wire-protocol §5). */
const scratch = new Scratch('crowd')
const WAIT_MS = 100_000
let app: AppProcess
let person: Control
const tokens = new Map<string, string>()
const open: Sandbox[] = []

beforeAll(async () => {
  app = await (await AppProcess.start(scratch, await freshImage())).ready()
  person = await app.control()
  for (const name of ['ann', 'bob']) tokens.set(name, await person.addClient(name))
})
afterEach(async () => {
  for (const sandbox of open.splice(0)) await sandbox.close()
})
afterAll(async () => {
  await person?.close()
  await app?.dispose()
  scratch.remove()
})

async function agent(client: 'ann' | 'bob'): Promise<Sandbox> {
  const socketPath = `${scratch.stateDir}/agent.sock`
  const sandbox = await Sandbox.connect({ token: tokens.get(client) ?? '', client, socketPath })
  open.push(sandbox)
  return sandbox
}

const sh = (sandbox: Sandbox, command: string, more: Parameters<Sandbox['exec']>[2] = {}) =>
  within(WAIT_MS, command, sandbox.exec('sh', { command }, more))
const verified = (response: AgentExecResponse) => response.sandbox_reset_state?.verification_passed
const running = (commandId: string) =>
  whenApp(person, 'its start', ({ dispatches }) =>
    dispatches.some(({ command_id, state }) => command_id === commandId && state === 'running'),
  )

describe('two agents and a person', () => {
  it('each sees its own output and dispatches and nobody else’s; the person sees all', async () => {
    const [ann, bob] = [await agent('ann'), await agent('bob')]
    const heard: Record<'ann' | 'bob', AgentEvent[]> = { ann: [], bob: [] }
    await ann.subscribe((event) => heard.ann.push(event))
    await bob.subscribe((event) => heard.bob.push(event))
    const [a, b, p] = await Promise.all([
      sh(ann, 'echo of-ann; sleep 0.3; echo more-of-ann'),
      sh(bob, 'echo of-bob; sleep 0.3; echo more-of-bob'),
      within(WAIT_MS, 'the person', person.exec('echo', { text: 'of-person' })),
    ])
    expect([a.stdout, b.stdout, p.stdout]).toEqual([
      'of-ann\nmore-of-ann\n',
      'of-bob\nmore-of-bob\n',
      'of-person\n',
    ])
    expect([a, b, p].map(verified)).toEqual([true, true, true])
    for (const [name, sandbox, own] of [
      ['ann', ann, a],
      ['bob', bob, b],
    ] as const) {
      const outputs = heard[name].filter((event) => event.event === 'exec_output')
      expect(new Set(outputs.map(({ command_id }) => command_id))).toEqual(new Set([own.command_id]))
      const told = JSON.stringify([heard[name], await sandbox.status()])
      for (const other of ['ann', 'bob', 'person'])
        if (other !== name) expect(told).not.toContain(`of-${other}`)
      expect((await sandbox.status()).dispatches.map(({ client }) => client)).not.toContain(
        name === 'ann' ? 'bob' : 'ann',
      )
    }
    const all = (await person.status()).dispatches.map(({ client }) => client)
    expect(all).toEqual(expect.arrayContaining(['ann', 'bob', 'cli']))
  })

  it('one that hangs leaves the others their answers; only the person can cancel it for its client', async () => {
    const [ann, bob] = [await agent('ann'), await agent('bob')]
    const commandId = randomUUID()
    const run = sh(ann, 'sleep 600', { commandId, deadlineMs: 600_000 })
    await running(commandId)
    expect((await bob.status()).state).toBe('dispatching')
    await expect(bob.query('ProcessList')).rejects.toMatchObject({ code: 'BUSY' })
    expect(await bob.cancel(commandId)).toBe(false)
    expect(await person.cancel(commandId)).toBe(true)
    expect(await run).toMatchObject({ exit_code: 137, error: { code: 'CANCELLED' } })
  })

  it('takes turns: who queues many waits for them alone', async () => {
    const [ann, bob] = [await agent('ann'), await agent('bob')]
    const order: string[] = []
    const hold = randomUUID()
    const first = sh(ann, 'sleep 600', { commandId: hold, deadlineMs: 600_000 })
    await running(hold)
    const many = Array.from({ length: 5 }, () => sh(ann, 'true').then(() => order.push('ann')))
    await whenApp(person, 'a queue', ({ queue_length }) => queue_length === 5)
    const one = sh(bob, 'true').then(() => order.push('bob'))
    await whenApp(person, 'a longer queue', ({ queue_length }) => queue_length === 6)
    await ann.cancel(hold)
    await Promise.all([first, one, ...many])
    expect(order.indexOf('bob')).toBeLessThanOrEqual(1)
    expect(order).toHaveLength(6)
  })

  it('one that floods harms nobody: the others’ results are whole, its own is cut and says so', async () => {
    const [ann, bob] = [await agent('ann'), await agent('bob')]
    let flood = 0
    const commandId = randomUUID()
    const flooding = sh(ann, 'yes flood | head -c 3000000', {
      commandId,
      deadlineMs: 90_000,
      onOutput: ({ data }) => (flood += data.length),
    })
    await running(commandId)
    const [quiet, status] = await Promise.all([sh(bob, 'echo fine'), bob.status()])
    expect(status.dispatches.every(({ client }) => client === 'bob')).toBe(true)
    expect(quiet).toMatchObject({ exit_code: 0, stdout: 'fine\n' })
    expect(verified(quiet)).toBe(true)
    const cut = await flooding
    expect(cut).toMatchObject({ stdout_bytes: 3_000_000, truncated: { stdout: true, stderr: false } })
    expect(cut.stdout.length).toBeLessThan(1024 * 1024 + 1024)
    expect(flood).toBeGreaterThan(0)
    expect(verified(cut)).toBe(true)
  })

  it('one that will not end is ended at its deadline, children and all, and the next runs', async () => {
    const [ann, bob] = [await agent('ann'), await agent('bob')]
    const commandId = randomUUID()
    const order: string[] = []
    // It ignores what can be ignored, and leaves children behind.
    const command = 'trap "" TERM INT HUP; (sleep 600 &) ; while :; do :; done'
    const hanging = sh(ann, command, { commandId, deadlineMs: 2_000 }).then((response) => {
      order.push('ann')
      return response
    })
    await running(commandId)
    const count =
      'n=0; for c in /proc/[0-9]*/comm; do read name < $c; [ "$name" = sleep ] && n=$((n+1)); done; echo $n'
    const waiting = sh(bob, count).then((response) => {
      order.push('bob')
      return response
    })
    expect(await hanging).toMatchObject({ exit_code: 137, error: { code: 'SANDBOX_TOOL_TIMEOUT' } })
    expect(await waiting).toMatchObject({ exit_code: 0, stdout: '0\n' })
    expect(order).toEqual(['ann', 'bob'])
  })

  it('a helper that stands still keeps nobody from the status', async () => {
    const ann = await agent('ann')
    const { pid } = helperOf(scratch)
    process.kill(pid, 'SIGSTOP')
    try {
      // Their own deadline is 10 s, and so is the app's for its helper.
      expect((await ann.status()).state).toBe('ready')
      expect((await person.status()).state).toBe('ready')
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    expect(verified(await sh(ann, 'true'))).toBe(true)
  })

  it('one that goes away takes its dispatch with it', async () => {
    const [ann, bob] = [await agent('ann'), await agent('bob')]
    const commandId = randomUUID()
    const lost = ann.exec('sh', { command: 'sleep 600' }, { commandId, deadlineMs: 600_000 })
    lost.catch(() => undefined)
    await running(commandId)
    const waiting = sh(bob, 'echo mine')
    await ann.close()
    expect((await waiting).stdout).toBe('mine\n')
    await expect(lost).rejects.toMatchObject({ code: 'CANCELLED' })
  })
})
