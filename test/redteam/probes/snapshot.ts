import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { corruptByte } from '../../support/corrupt.ts'
import { until } from '../../support/deadline.ts'
import type { Helper } from '../../support/helper.ts'
import { freshImage } from '../../support/image.ts'
import type { Scratch } from '../../support/scratch.ts'
import { must } from '../../gates/broken.ts'
import { probe, type Defect, type Probe } from '../probe.ts'
import type { Stage } from '../stage.ts'

/**
 * Somebody on the host changes the golden snapshot: it is set aside by name, reported, and made again from a cold boot
 * (§4). Whoever holds the key of its HMAC, which lies outside the state directory, is out of scope.
 */

const TRUSTING: Defect = { when: 'a snapshot is not compared with its digests', helper: 'trusting' }

const goldenDir = (scratch: Scratch): string => scratch.path('state', 'golden')

function snapshot(scratch: Scratch): string {
  const [name] = readdirSync(goldenDir(scratch))
  if (name === undefined) throw new Error('there is no golden snapshot')
  return join(goldenDir(scratch), name)
}

/** Files of the snapshot, biggest first: RAM, then device state, then the manifests. */
const files = (scratch: Scratch): string[] =>
  readdirSync(snapshot(scratch))
    .map((name) => join(snapshot(scratch), name))
    .sort((a, b) => statSync(b).size - statSync(a).size)

function fileAt(scratch: Scratch, at: number): string {
  const path = files(scratch)[at]
  if (path === undefined) throw new Error('the snapshot has fewer files')
  return path
}

const byte =
  (which: number, part: number) =>
  (scratch: Scratch): void => {
    const path = fileAt(scratch, which)
    corruptByte(path, Math.floor(statSync(path).size * part))
  }

/** One value changed in every JSON file that has it; the code that authenticates it stays as it was. */
const edited =
  (pattern: RegExp, edit: (text: string) => string) =>
  (scratch: Scratch): void => {
    const touched = files(scratch)
      .filter((path) => path.endsWith('.json'))
      .filter((path) => pattern.test(readFileSync(path, 'utf8')))
    if (touched.length === 0) throw new Error(`no JSON file has ${String(pattern)}`)
    for (const path of touched) writeFileSync(path, edit(readFileSync(path, 'utf8')))
  }

const zeroed = (name: string) =>
  edited(new RegExp(`"${name}"`), (text) =>
    text.replace(new RegExp(`("${name}":\\s*"(?:sha256:)?)[0-9a-f]{8}`), '$100000000'),
  )
/** On vz RAM and devices are one file. */
const DIGEST = '(?:ram|saved_state)'

const everything: readonly ((scratch: Scratch) => void)[] = [
  byte(0, 0.5),
  byte(1, 0.5),
  zeroed('nonce'),
  zeroed(DIGEST),
]

/** A cold boot that says why, and a VM that works. */
async function coldBooted(stage: Stage, helper: Helper): Promise<string> {
  const result = await helper.ready()
  stage.watch(helper)
  must(result.boot_path === 'cold_boot', 'it started from the snapshot')
  const reason = result.cold_boot_reason ?? ''
  must(/SNAPSHOT_(CORRUPT|INCOMPATIBLE)/.test(reason), `its reason was "${reason}"`)
  await helper.standbyReady()
  must((await helper.reset()).verification_passed, 'a reset fails')
  must((await helper.exec('echo', { text: 'x' })).exit_code === 0, 'its VM runs no tool')
  return reason
}

type Rest = Partial<Pick<Probe, 'slice' | 'fullRunOnly' | 'only'>>
const tampered = (
  id: string,
  promise: string,
  run: (stage: Stage) => Promise<unknown>,
  defect: Defect = TRUSTING,
  rest: Rest = {},
): Probe =>
  probe({
    ...{ id: `snapshot.${id}`, group: 'Tampered snapshots', attacker: 'host', promise },
    ...{ needs: 'own-vm', run, defect, budgetMs: 120_000, ...rest },
  })

const LIKE_ANOTHER: Rest = { fullRunOnly: true }

const spoiled = (id: string, what: string, spoil: (scratch: Scratch) => void, rest: Rest = {}): Probe =>
  tampered(
    id,
    `No VM comes from a snapshot with ${what}.`,
    async (stage) => {
      const scratch = await stage.context.golden()
      spoil(scratch)
      return await coldBooted(stage, stage.context.boot(scratch))
    },
    TRUSTING,
    rest,
  )

export const SNAPSHOT: readonly Probe[] = [
  spoiled('ram-byte', 'one byte of its RAM changed', byte(0, 0.5), { slice: true }),
  spoiled('ram-first-byte', 'the first byte of its RAM changed', byte(0, 0), LIKE_ANOTHER),
  spoiled(
    'ram-cut',
    'its RAM cut short',
    (scratch) => {
      const ram = fileAt(scratch, 0)
      truncateSync(ram, statSync(ram).size - 4096)
    },
    LIKE_ANOTHER,
  ),
  spoiled('device-state', 'one byte of its device state changed', byte(1, 0.5), {
    only: { helper: 'qemu', because: 'there it is part of one file with the RAM' },
  }),
  spoiled('nonce', 'another nonce in its manifest', zeroed('nonce'), LIKE_ANOTHER),
  spoiled('digest', 'another digest of the RAM in its manifest', zeroed(DIGEST), LIKE_ANOTHER),
  spoiled(
    'no-json',
    'a manifest that is no JSON',
    edited(/"nonce"/, () => '{'),
    LIKE_ANOTHER,
  ),
  spoiled('all', 'RAM, device state and manifest changed, all together', (scratch) => {
    for (const spoil of everything) spoil(scratch)
  }),
  spoiled('other-key', 'another key in the place of the one that signed it', (scratch) =>
    writeFileSync(scratch.path('config', 'manifest.key'), `${'ab'.repeat(32)}\n`),
  ),

  tampered(
    'all-while-running',
    'All of it changed while VMs run from it changes none of them, and none comes from it after a restart.',
    async (stage) => {
      const helper = await stage.own()
      await helper.standbyReady()
      for (const spoil of everything) spoil(helper.scratch)
      for (let n = 0; n < 3; n += 1) {
        must((await helper.reset()).verification_passed, `reset ${n} failed`)
        must((await helper.exec('echo', { text: 'x' })).exit_code === 0, 'its VM runs no tool')
      }
      await helper.shutdown()
      return await coldBooted(stage, stage.context.boot(helper.scratch))
    },
  ),
  tampered('made-again', 'A snapshot made anew is used at the next start.', async (stage) => {
    const scratch = await stage.context.golden()
    byte(0, 0.5)(scratch)
    const helper = stage.context.boot(scratch)
    await coldBooted(stage, helper)
    await helper.shutdown()
    const again = stage.context.boot(scratch)
    must((await again.ready()).boot_path === 'fast_snapshot', 'it was not used')
  }),
  tampered('kept-aside', 'A touched snapshot is kept aside for a person to look at.', async (stage) => {
    const scratch = await stage.context.golden()
    byte(0, 0.5)(scratch)
    await coldBooted(stage, stage.context.boot(scratch))
    // The new one is written while the VM serves already.
    const left = await until(60_000, 'a second snapshot', () => {
      const found = readdirSync(goldenDir(scratch))
      return found.length >= 2 ? found : undefined
    })
    must(
      left.some((entry) => /corrupt|aside/i.test(entry)),
      left.join(', '),
    )
  }),
  tampered('stale', 'No VM comes from the snapshot of another image.', async (stage) => {
    const other = await freshImage('base', 'test')
    const scratch = stage.context.scratch()
    const first = stage.context.boot(scratch, {}, other)
    await first.ready()
    await first.standbyReady()
    await first.shutdown()
    // Under the name that this image's would have, as whoever put it there would.
    const mine = await stage.context.golden()
    const name = snapshot(mine)
    rmSync(name, { recursive: true })
    cpSync(snapshot(scratch), name, { recursive: true })
    for (const each of readdirSync(scratch.path('config')))
      cpSync(scratch.path('config', each), mine.path('config', each), { recursive: true })
    return await coldBooted(stage, stage.context.boot(mine))
  }),
  tampered(
    'baseline',
    'A forged baseline of the descriptor count is never believed.',
    async (stage) => {
      const scratch = await stage.context.golden()
      edited(/"open_fd_count"/, (text) => text.replace(/("open_fd_count":\s*)\d+/, '$1999'))(scratch)
      const helper = stage.context.boot(scratch)
      await helper.ready()
      stage.watch(helper)
      await helper.standbyReady()
      const reset = await helper.reset()
      must(reset.open_fd_count_baseline !== 999, 'it was believed')
      must(reset.verification_passed, `the reset failed: ${reset.failed.join(', ')}`)
    },
    { when: 'a baseline is taken as it is written', helper: 'forged-baseline' },
  ),
]
