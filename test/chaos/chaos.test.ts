import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { corruptByte } from '../support/corrupt.ts'
import { freshImage } from '../support/image.ts'
import { LyingQemu } from '../support/lying-qemu.ts'
import { auditVerifies, dispatchWorks, noFileMore, noProcessMore } from './afterwards.ts'
import { PHASES } from './moments.ts'
import { PLAN, type Hurt } from './plan.ts'
import { run } from './run.ts'
import { World } from './world.ts'

const never = new Promise<never>(() => undefined)

describe('chaos', () => {
  let world: World
  const qemu = new LyingQemu()
  beforeAll(async () => {
    world = new World('qemu', await freshImage(), qemu.environment)
    await world.begin()
  })
  afterAll(async () => {
    await world.dispose()
    qemu.remove()
  })

  const named = (id: string): Hurt => {
    const found = PLAN.find((hurt) => hurt.id === id)
    if (found === undefined) throw new Error(`there is no ${id}`)
    return found
  }

  it('has no two runs of one id, and each kind of error of the disk at every phase', () => {
    const ids = PLAN.map(({ id }) => id)
    expect(ids.filter((id, at) => ids.indexOf(id) !== at)).toEqual([])
    for (const phase of PHASES)
      for (const kind of ['full', 'read-only', 'truncate-', 'kill', 'pause', 'stop']) {
        const there = PLAN.filter(
          ({ moment, injury }) => moment.phase === phase && injury.id.startsWith(kind),
        )
        expect(there.length, `${phase} ${kind}`).toBeGreaterThan(0)
      }
  })

  // Each check of afterwards is seen to hold in this world, and to notice what was put into it.

  it('notices a process that was left behind', async () => {
    await noProcessMore(world)
    const orphan = spawn('sleep', ['600'], { env: world.scratch.environment(), stdio: 'ignore' })
    try {
      await expect(noProcessMore(world, 1_000)).rejects.toThrow(/orphan \d+ sleep 600/)
    } finally {
      const ended = once(orphan, 'exit')
      orphan.kill('SIGKILL')
      await ended
    }
    await noProcessMore(world)
  })

  it.each([
    'tmp/left',
    'state/golden/.making-0123456789abcdef-01234567/ram',
    'state/app.lock.0123456789ab.tmp',
  ])('notices a file that was left behind: %s', async (name) => {
    await noFileMore(world)
    const path = world.scratch.path(name)
    mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true })
    writeFileSync(path, 'x')
    await expect(noFileMore(world, 500)).rejects.toThrow(/files were left behind: 1 file/)
    rmSync(name.includes('.making-') ? path.slice(0, path.lastIndexOf('/')) : path, { recursive: true })
    await noFileMore(world)
  })

  it('notices an audit log that does not verify', async () => {
    await auditVerifies(world)
    const log = world.scratch.path('state', 'audit.jsonl')
    corruptByte(log, 40)
    await expect(auditVerifies(world)).rejects.toThrow(/the audit log does not verify: The log was changed/)
    corruptByte(log, 40)
    await auditVerifies(world)
  })

  it('notices a dispatch whose reset is not verified, and that degraded is not ready', async () => {
    await world.start()
    await world.rest()
    qemu.tell('lie', 'paused')
    await expect(dispatchWorks(world)).rejects.toThrow(/its reset is not verified/)
    await expect(world.rest()).rejects.toThrow(/^degraded: /)
    qemu.relent()
  })

  it('notices a dispatch that does not work, and an app that does not become ready', async () => {
    const control = await world.control()
    await control.recover('the test lied')
    await world.rest()
    await dispatchWorks(world)
    await control.down(false)
    await expect(dispatchWorks(world)).rejects.toThrow(/a dispatch does not work/)
    await expect(world.rest()).rejects.toThrow(/^stopped: /)
    await control.up()
    await expect(world.rest(0)).rejects.toThrow(/^not ready within 0 ms/)
  })

  it('finds a run broken when its promise is not kept, with the round and what was seen', async () => {
    await world.rest()
    const spoilt: Hurt = {
      ...named('rest.vm.kill'),
      moment: {
        ...named('rest.vm.kill').moment,
        reach: async ({ scratch }) => {
          writeFileSync(scratch.path('tmp', 'left'), 'x')
          return null
        },
      },
    }
    world.settleMs = 5_000
    const { outcome, reason } = await run(world, spoilt, 1, never)
    expect(`${outcome}: ${reason}`).toMatch(
      /^broken: round 1 of 1: .*files were left behind: 1 file tmp\/left/,
    )
  })
})
