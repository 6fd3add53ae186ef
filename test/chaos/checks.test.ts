import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { Broken } from '../gates/broken.ts'
import { identify } from '../support/processes.ts'
import { Scratch } from '../support/scratch.ts'
import { FAULTS, VICTIMS } from './injuries.ts'
import type { Owed } from './moments.ts'
import { PLAN, type Hurt } from './plan.ts'
import { answered, endedWell, found } from './run.ts'
import type { World } from './world.ts'

/** A world of which a check asks no more than this. What is asked of a real one is seen in `chaos.test.ts`. */
const worldOf = (parts: object): World => parts as unknown as World

const asked = (control: object, parts: object = {}): World =>
  worldOf({ control: async () => await Promise.resolve(control), ...parts })

const verdict = (ok: boolean, message = 'The chain is whole.') => ({
  verifyEvidence: async () => await Promise.resolve({ ok, message }),
  verifyAudit: async () => await Promise.resolve({ ok, message }),
})

describe('what is owed', () => {
  const good = {
    command_id: 'c',
    evidence_path: '/evidence/c.ndjson',
    sandbox_reset_state: { verification_passed: true },
  }
  const owed = (answer: object): Owed => Promise.resolve(answer) as unknown as Owed
  const whole = asked(verdict(true))

  it('is a result with a verified reset and whole evidence, or an error that says why', async () => {
    await answered(whole, owed(good))
    await answered(whole, owed({ error: { message: 'The helper ended.' } }))
    await answered(whole, Promise.reject(new Error('The app ended.')))
  })

  it.each([
    ['an error that says nothing', { error: { message: 'EPIPE' } }, /the error of what ran is no sentence/],
    ['an error that is a trace', { error: { message: 'It ended\n  at x.ts' } }, /no sentence/],
    ['no reset', { ...good, sandbox_reset_state: null }, /no verified reset/],
    [
      'a reset that failed',
      { ...good, sandbox_reset_state: { verification_passed: false } },
      /no verified reset/,
    ],
    [
      'a reset whose error says nothing',
      { ...good, sandbox_reset_state: { verification_passed: false, error: { message: '' } } },
      /the error of the reset behind it is no sentence/,
    ],
  ])('is not %s', async (_what, answer, says) => {
    await expect(answered(whole, owed(answer))).rejects.toThrow(says)
  })

  it('is not a rejection that says nothing', async () => {
    await expect(answered(whole, Promise.reject(new Error('x')))).rejects.toThrow(/no sentence/)
  })

  it('is no result with evidence that does not verify, unless the audit log to compare it with was cut', async () => {
    const broken = asked(verdict(false, 'Chunk 2 is missing.'))
    await expect(answered(broken, owed(good))).rejects.toThrow(/its evidence does not verify/)
    await expect(answered(broken, owed(good), true)).rejects.toThrow(/its evidence does not verify/)
    const alone = asked(verdict(false, 'The audit log holds no evidence hash.'))
    await answered(alone, owed(good), true)
    await expect(answered(alone, owed(good))).rejects.toThrow(/its evidence does not verify/)
  })
})

describe('an app that ended', () => {
  const hurt = (id: string): Hurt => {
    const one = PLAN.find((each) => each.id === id)
    if (one === undefined) throw new Error(`there is no ${id}`)
    return one
  }
  const ended = (exit: number | null, parts: { lastWords?: string; left?: string[]; runs?: boolean } = {}) =>
    worldOf({
      exit,
      lastWords: parts.lastWords ?? 'The helper could not be started.',
      nothingLeft: async () => {
        if (parts.runs === true) throw new Broken('processes were left behind: 1 x')
        await Promise.resolve()
      },
      scratch: { appLeftovers: () => parts.left ?? [] },
    })

  it('ended well when it was killed, was told to, or says why', async () => {
    await endedWell(ended(null), hurt('rest.app.kill'))
    await endedWell(ended(0), hurt('shutdown.helper.kill'))
    await endedWell(ended(1), hurt('boot.helper.kill'))
  })

  it.each([
    ['a process is left', 'rest.app.kill', ended(null, { runs: true }), /processes were left behind/],
    ['it was killed, and not by us', 'rest.helper.kill', ended(null), /the app ended with null$/],
    ['it ended as if all was well', 'boot.helper.kill', ended(0), /the app ended with 0$/],
    ['it ended badly when told to', 'told.vm.kill', ended(1), /ended with 1 when it was told to end/],
    ['it says nothing', 'boot.helper.kill', ended(1, { lastWords: '' }), /at its end is no sentence/],
    ['a file is left', 'boot.helper.kill', ended(1, { left: ['file tmp/x'] }), /left behind: file tmp\/x/],
  ])('did not when %s', async (_what, id, world, says) => {
    await expect(endedWell(world, hurt(id))).rejects.toThrow(says)
  })
})

describe('what was stopped for good', () => {
  it('is found when it ends, and not while it stands', async () => {
    const child = spawn('sleep', ['600'], { stdio: 'ignore' })
    const hit = identify(child.pid ?? 0)
    if (hit === undefined) throw new Error('sleep did not start')
    try {
      child.kill('SIGSTOP')
      await expect(found(worldOf({}), hit, { budgetMs: 300 })).rejects.toThrow(/the end of what was stopped/)
    } finally {
      const over = once(child, 'exit')
      child.kill('SIGKILL')
      await over
    }
    await found(worldOf({}), hit, { budgetMs: 300 })
    const mute = asked({ exec: async () => await Promise.reject(new Error('x')) })
    await expect(found(mute, hit, { budgetMs: 300, foundByUse: true })).rejects.toThrow(/no sentence/)
  })

  it('has a victim of each kind in the plan', () => {
    for (const { id } of Object.values(VICTIMS))
      expect(
        PLAN.some(({ victim, injury }) => victim?.id === id && injury.id === 'pause'),
        id,
      ).toBe(true)
  })
})

describe('what was cut', () => {
  const said = (reason?: string): World =>
    asked({
      status: async () =>
        await Promise.resolve({ helper: reason === undefined ? null : { cold_boot_reason: reason } }),
    })

  it('is told of a snapshot by its code and a sentence', async () => {
    const fault = FAULTS['truncate-ram']
    await fault.said(said('SNAPSHOT_CORRUPT: The snapshot is corrupt.'))
    await expect(fault.said(said())).rejects.toThrow(/it said: nothing/)
    await expect(fault.said(said('SNAPSHOT_CORRUPT: '))).rejects.toThrow(/of the truncated snapshot it said/)
    await expect(fault.said(said('There was no golden snapshot yet.'))).rejects.toThrow(
      /it said: There was no/,
    )
  })

  it('is told of the evidence of that very dispatch', async () => {
    const scratch = new Scratch('cut')
    try {
      const fault = FAULTS['truncate-evidence']
      const good = asked(verdict(true), { scratch })
      await expect(fault.said(good)).rejects.toThrow(/no chain was cut/)
      mkdirSync(scratch.path('state', 'evidence'))
      writeFileSync(scratch.path('state', 'evidence', 'c.ndjson'), 'x'.repeat(100))
      await fault.inflict(good)
      await expect(fault.said(good)).rejects.toThrow(/the evidence that was cut verifies/)
      const bad = asked(verdict(false), { scratch })
      await fault.inflict(bad)
      await fault.said(bad)
    } finally {
      scratch.remove()
    }
  })

  it('is told of a root disk that a VM goes on with, which is put back then', async () => {
    const scratch = new Scratch('cut')
    try {
      const fault = FAULTS['truncate-rootfs']
      const rootfs = scratch.path('rootfs')
      const image = { rootfs, manifest: { rootfs: { size: 100 } } }
      const ready = (isCaught: boolean, recovered: string[] = []): World => {
        let state = 'ready'
        const control = {
          status: async () => await Promise.resolve({ state }),
          exec: async () => {
            if (isCaught) state = 'degraded'
            return await Promise.resolve({
              sandbox_reset_state: { verification_details: { fs_hash_match: !isCaught } },
            })
          },
          recover: async (why: string) => {
            recovered.push(why)
            await Promise.resolve()
          },
        }
        return asked(control, { scratch, image, isRunning: true })
      }
      writeFileSync(rootfs, 'x'.repeat(100))
      const blind = ready(false)
      await fault.inflict(blind)
      await expect(fault.heal(blind)).rejects.toThrow(/with a root disk cut in half it is ready/)
      writeFileSync(rootfs, 'x'.repeat(100))
      const recovered: string[] = []
      const seeing = ready(true, recovered)
      await fault.inflict(seeing)
      expect(statSync(rootfs).size).toBe(50)
      await fault.heal(seeing)
      expect(readFileSync(rootfs, 'utf8')).toBe('x'.repeat(100))
      expect(recovered).toHaveLength(1)
      const failing = (message: string): World => {
        const status = async () => await Promise.resolve({ state: 'ready' })
        const error = { code: 'RESET_FAILED', message }
        const exec = async () => await Promise.resolve({ sandbox_reset_state: { error } })
        return asked({ status, exec }, { scratch, image, isRunning: true })
      }
      for (const [said, is] of [
        ['No new VM could be made.', 'fulfilled'],
        ['EIO', 'rejected'],
      ] as const) {
        const world = failing(said)
        await fault.inflict(world)
        const [{ status }] = await Promise.allSettled([fault.heal(world)])
        expect(status, said).toBe(is)
        writeFileSync(rootfs, 'x'.repeat(100))
      }
    } finally {
      scratch.remove()
    }
  })

  it('is told of the audit log in a sentence', async () => {
    const fault = FAULTS['truncate-audit']
    await fault.said(asked(verdict(false, 'The log was changed.')))
    await expect(fault.said(asked(verdict(true)))).rejects.toThrow(/the audit log that was cut verifies/)
    await expect(fault.said(asked(verdict(false, 'no')))).rejects.toThrow(/the verdict .* is no sentence/)
  })
})
