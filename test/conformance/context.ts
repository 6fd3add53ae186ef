import { Helper, bootHelper, killOrphans, type BootOptions } from '../support/helper.ts'
import { GoldenStock } from '../support/golden.ts'
import type { HelperBinary } from '../support/helper-binary.ts'
import { copyImage, type GuestImage } from '../support/image.ts'
import { Scratch } from '../support/scratch.ts'
import { DEFAULT_DEADLINE_MS, type Check } from './check.ts'
import { within } from '../support/deadline.ts'

export type Finished = { code: number | null; signal: string | null; stdout: string; stderr: string }

/** The helper under test with what its checks share: the image, a golden snapshot, one booted VM. */
export class Bench {
  readonly binary: HelperBinary
  readonly image: GuestImage
  readonly #stock: GoldenStock
  readonly #release: () => Promise<void>
  #shared: Helper | undefined

  /**
   * Works on a copy of the image: a build in the checkout would swap the disk under running VMs. Given
   * another bench instead, it shares that one's image and golden snapshot; close it before that one.
   */
  constructor(binary: HelperBinary, from: GuestImage | Bench) {
    this.binary = binary
    if (from instanceof Bench) {
      this.image = from.image
      this.#stock = from.#stock
      this.#release = async () => undefined
    } else {
      const place = new Scratch('image')
      const image = copyImage(from, place.path('image'))
      const stock = new GoldenStock(binary, image)
      this.image = image
      this.#stock = stock
      this.#release = async () => {
        await stock.remove()
        place.remove()
      }
    }
  }

  goldenScratch(): Promise<Scratch> {
    return this.#stock.scratch()
  }

  async #sharedVm(): Promise<Helper> {
    if (this.#shared?.exit !== undefined) await this.#dropShared()
    if (this.#shared === undefined) {
      this.#shared = bootHelper(this.binary, await this.goldenScratch(), this.image)
      await this.#shared.ready()
    }
    this.#shared.forget()
    return this.#shared
  }

  async #dropShared(): Promise<void> {
    const shared = this.#shared
    this.#shared = undefined
    await shared?.dispose()
    shared?.scratch.remove()
  }

  /** Runs one check to its verdict; throws what is wrong. */
  async run(check: Check): Promise<void> {
    const shared = check.needs === 'vm' ? await this.#sharedVm() : undefined
    const context = new Context(this, shared)
    try {
      await within(check.deadlineMs ?? DEFAULT_DEADLINE_MS, check.id, check.run(context))
      await context.close()
    } catch (error) {
      await context.abandon()
      // What a failed check left behind must not fail the next one.
      if (shared) await this.#dropShared()
      throw error
    }
  }

  async close(): Promise<void> {
    const shared = this.#shared
    await this.#dropShared()
    await this.#release()
    if (shared && shared.violations.length > 0) throw new Error(shared.violations.join('\n'))
  }
}

/** What one check may use; everything it started is ended, and its remains looked for, when it is over. */
export class Context {
  readonly #bench: Bench
  readonly #shared: Helper | undefined
  readonly #helpers: Helper[] = []
  readonly #scratches: Scratch[] = []

  constructor(bench: Bench, shared: Helper | undefined) {
    this.#bench = bench
    this.#shared = shared
  }

  get image(): GuestImage {
    return this.#bench.image
  }

  get binary(): HelperBinary {
    return this.#bench.binary
  }

  /** The VM shared by all checks that need `vm`. */
  get vm(): Helper {
    if (!this.#shared) throw new Error('this check does not declare that it needs the shared VM')
    return this.#shared
  }

  scratch(): Scratch {
    const scratch = new Scratch()
    this.#scratches.push(scratch)
    return scratch
  }

  /** A scratch whose state directory holds a golden snapshot, so that a boot is a restore. */
  async golden(): Promise<Scratch> {
    const scratch = await this.#bench.goldenScratch()
    this.#scratches.push(scratch)
    return scratch
  }

  /** Starts `boot` without waiting for it. */
  boot(scratch: Scratch, options: BootOptions = {}, image = this.image): Helper {
    return this.track(bootHelper(this.#bench.binary, scratch, image, options))
  }

  /** A booted VM of its own. */
  async own(options: BootOptions = {}): Promise<Helper> {
    const helper = this.boot(await this.golden(), options)
    await helper.ready()
    return helper
  }

  start(args: string[], scratch = this.scratch(), env: Record<string, string> = {}): Helper {
    return this.track(new Helper(this.#bench.binary, scratch, args, { env }))
  }

  track(helper: Helper): Helper {
    this.#helpers.push(helper)
    return helper
  }

  /** Runs a command of the helper that ends by itself. */
  async command(
    args: string[],
    scratch = this.scratch(),
    env: Record<string, string> = {},
    /** `open` leaves stdin open: its end would abort a boot before its verdict. */
    stdin: 'closed' | 'open' = 'closed',
  ): Promise<Finished> {
    const helper = new Helper(this.#bench.binary, scratch, args, { env })
    this.#helpers.push(helper)
    let stdout = ''
    helper.child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString('utf8')))
    if (stdin === 'closed') helper.closeStdin()
    const { code, signal } = await helper.waitForExit()
    // `preflight` and the one-shots print what is no message of the NDJSON channel.
    helper.violations.length = 0
    return { code, signal, stdout, stderr: helper.stderr }
  }

  /** Ends everything, then fails on any breach or remains. */
  async close(): Promise<void> {
    const found: string[] = []
    for (const helper of this.#helpers) await helper.end()
    // What is said too much may come behind the last answer; one more answer is behind that.
    if (this.#shared?.exit === undefined) await this.#shared?.status()
    for (const helper of this.#shared ? [this.#shared, ...this.#helpers] : this.#helpers)
      found.push(...helper.violations.splice(0))
    for (const scratch of this.#scratches) {
      const killed = this.#helpers.some((one) => one.scratch === scratch && one.exit?.signal === 'SIGKILL')
      found.push(...(await killOrphans(scratch)))
      if (!killed) found.push(...scratch.leftovers())
      scratch.remove()
    }
    if (found.length > 0) throw new Error(`after the check:\n  ${found.join('\n  ')}`)
  }

  async abandon(): Promise<void> {
    for (const helper of this.#helpers) await helper.end()
    for (const scratch of this.#scratches) {
      await killOrphans(scratch)
      scratch.remove()
    }
  }
}
