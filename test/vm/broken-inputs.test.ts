import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { AppProcess } from '../support/app.ts'
import type { Context } from '../conformance/context.ts'
import { errorOf, type BootOptions } from '../support/helper.ts'
import { copyImage, type GuestImage } from '../support/image.ts'
import { Scratch } from '../support/scratch.ts'
import { VM_TEST_MS, useBench } from './bench.ts'

/** Each broken input gets its own error with the next step, and the process ends with its code. */
describe('broken inputs', () => {
  const bench = useBench()
  async function fails(
    context: Context,
    scratch: Scratch,
    image: GuestImage,
    exit: number | number[],
    options: BootOptions = {},
  ): Promise<string> {
    const helper = context.boot(scratch, options, image)
    const result = await helper.bootResult()
    expect(result.ok).toBe(false)
    const { message, next_step = '' } = result.error ?? { message: '' }
    expect(message).toMatch(/\w+ \w+/)
    expect(next_step).toMatch(/\w+ \w+/)
    const { code } = await helper.waitForExit()
    expect([exit].flat()).toContain(code)
    return `${result.error?.code}: ${message} ${next_step}`
  }

  const spoilt = (context: Context, spoil: (copy: GuestImage) => void) => {
    const scratch = context.scratch()
    const copy = copyImage(context.image, scratch.path('image'))
    spoil(copy)
    return { scratch, copy }
  }

  it(
    'every one of them is told apart from the others',
    bench.own(async (context) => {
      const words: string[] = []
      const cases: [(copy: GuestImage) => void, RegExp][] = [
        [(copy) => writeFileSync(copy.kernel, bzImage()), /bzImage/],
        [(copy) => writeFileSync(copy.kernel, gzipSync(Buffer.alloc(8192))), /gzip/],
        [(copy) => rmSync(copy.rootfs), /rootfs/],
        [(copy) => truncateSync(copy.rootfs, 1000), /rootfs.*(512|truncated)/],
        [(copy) => truncateSync(copy.rootfs, 512 * 1000), /rootfs/],
      ]
      for (const [spoil, expected] of cases) {
        const { scratch, copy } = spoilt(context, spoil)
        const said = await fails(context, scratch, copy, 65)
        expect(said).toMatch(expected)
        words.push(said)
      }
      expect(new Set(words).size).toBe(words.length)
    }),
    VM_TEST_MS,
  )

  it(
    'more memory than there is',
    bench.own(async (context) => {
      const mib = Math.floor((totalmem() / 2 ** 20) * 4)
      const said = await fails(context, context.scratch(), context.image, [65, 66], { memoryMib: mib })
      expect(said).toMatch(/memory/i)
    }),
    VM_TEST_MS,
  )

  it(
    'an occupied socket',
    bench.own(async (context) => {
      const scratch = context.scratch()
      const socket = join(scratch.runtimeDir, 'taken.sock')
      const server = createServer()
      await new Promise<void>((listening) => server.listen(socket, listening))
      const said = await fails(context, scratch, context.image, 65, { socket })
      expect(said).toMatch(/socket/i)
      await new Promise((closed) => server.close(closed))
    }),
    VM_TEST_MS,
  )

  it(
    'a disk too small for the golden snapshot: said with the next step, nothing half-written is left',
    bench.own(async (context) => {
      const scratch = context.scratch()
      scratch.limitState('2m')
      const helper = context.boot(scratch)
      const result = await helper.bootResult()
      // A VM that runs from memory alone may go on; then it says what it could not keep.
      const said = result.ok
        ? await helper
            .event('log', { ms: 60_000, where: ({ message }) => /space|full/i.test(message ?? '') })
            .then(({ message }) => message ?? '')
        : `${result.error?.message} ${result.error?.next_step}`
      expect(said).toMatch(/space|full/i)
      if (!result.ok) expect((await helper.waitForExit()).code).toBe(66)
      await helper.dispose()
      const golden = join(scratch.stateDir, 'golden')
      expect(scratch.list(scratch.stateDir).filter(({ path }) => /\.new|\.tmp|partial/.test(path))).toEqual(
        [],
      )
      expect(readdirSync(scratch.stateDir).includes('golden') ? readdirSync(golden) : []).toEqual([])
    }),
    VM_TEST_MS,
  )

  it(
    'a disk that fills up later: it is said that evidence could not be kept, and all works again once there is room',
    bench.own(async (context) => {
      const golden = await context.golden()
      const scratch = context.scratch()
      scratch.limitState('400m')
      execFileSync('cp', ['-a', `${golden.stateDir}/.`, scratch.stateDir])
      execFileSync('cp', ['-a', `${golden.configDir}/.`, scratch.configDir])
      const helper = context.boot(scratch)
      await helper.ready()
      await helper.standbyReady()
      const ballast = join(scratch.stateDir, 'logs-ballast')
      try {
        execFileSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=64k'], { stdio: 'ignore' })
      } catch {
        // dd ends with "no space left", as it should
      }
      const after = helper.mark
      const exec = await helper.sh('head -c 300000 /dev/zero')
      // Either the dispatch fails for it, or it goes on and its chain, which could not be kept, is not named.
      if (exec.error === undefined) {
        expect(exec.evidence_path).toBeNull()
        await helper.event('log', { after, where: ({ message }) => /space|full/i.test(message ?? '') })
      } else expect(`${exec.error.message} ${exec.error.next_step}`).toMatch(/space|full/i)
      rmSync(ballast)
      const reset = await helper.ask({ kind: 'reset' }, 60_000)
      expect(
        reset.kind === 'reset_response' && reset.verification_passed,
        JSON.stringify(errorOf(reset)),
      ).toBe(true)
      expect((await helper.exec('echo', { text: 'x' })).exit_code).toBe(0)
    }),
    VM_TEST_MS,
  )

  it(
    'an unreadable snapshot: reported, and made anew',
    bench.own(async (context) => {
      const scratch = await context.golden()
      const dir = scratch.path('state', 'golden')
      for (const name of readdirSync(dir)) {
        const path = join(dir, name)
        for (const file of readdirSync(path)) {
          rmSync(join(path, file))
          mkdirSync(join(path, file)) // a directory cannot be read as a file, not even by root
        }
      }
      const helper = context.boot(scratch)
      const result = await helper.ready()
      expect(result.boot_path).toBe('cold_boot')
      expect(result.cold_boot_reason).toMatch(/\w+ \w+/)
    }),
    VM_TEST_MS,
  )

  it(
    'an unreadable saved state given to boot: its own error, exit 66',
    bench.own(async (context) => {
      const scratch = await context.golden()
      const saved = scratch.path('saved')
      mkdirSync(saved)
      writeFileSync(join(saved, 'manifest.json'), '{')
      const said = await fails(context, scratch, context.image, [65, 66], { extra: ['--saved-state', saved] })
      expect(said).toMatch(/SNAPSHOT_(CORRUPT|INCOMPATIBLE)/)
    }),
    VM_TEST_MS,
  )

  it(
    'a saved state of another machine size: SNAPSHOT_INCOMPATIBLE',
    bench.own(async (context) => {
      const helper = await context.own()
      const out_path = helper.scratch.path('saved')
      expect((await helper.request('save_state', { out_path }, 60_000)).ok).toBe(true)
      await helper.shutdown()
      const said = await fails(context, helper.scratch, context.image, [65, 66], {
        memoryMib: 288,
        extra: ['--saved-state', out_path],
      })
      expect(said).toMatch(/SNAPSHOT_INCOMPATIBLE/)
    }),
    VM_TEST_MS,
  )

  it(
    'a guest that never comes up: GUEST_UNREACHABLE or a lifecycle error, not silence',
    bench.own(async (context) => {
      const said = await fails(context, context.scratch(), context.image, [66, 67], {
        cmdline: 'console=hvc0 quiet panic=-1 rdinit=/no/such/init init=/no/such/init',
      })
      expect(said).toMatch(/GUEST_UNREACHABLE|VM_LIFECYCLE_ERROR/)
    }),
    VM_TEST_MS,
  )

  it(
    'the app ends with the same codes: a bzImage gives 65 and a sentence',
    bench.own(async (context) => {
      const { copy } = spoilt(context, ({ kernel }) => writeFileSync(kernel, bzImage()))
      const scratch = new Scratch('app')
      const app = await AppProcess.start(scratch, copy)
      try {
        expect(await app.ended()).toBe(65)
        expect(app.output).toMatch(/bzImage/)
      } finally {
        await app.dispose()
        scratch.remove()
      }
    }),
    VM_TEST_MS,
  )
})

function bzImage(): Buffer {
  const bytes = Buffer.alloc(8192)
  bytes.write('MZ', 0, 'latin1')
  bytes.writeUInt16LE(0xaa55, 0x1fe)
  bytes.write('HdrS', 0x202, 'latin1')
  return bytes
}
