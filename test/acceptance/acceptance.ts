import { spawnSync } from 'node:child_process'
import { hostname } from 'node:os'
import type { Helper } from '../support/helper.ts'
import { bootHelper, type BootOptions } from '../support/helper.ts'
import type { HelperBinary } from '../support/helper-binary.ts'
import type { GuestImage } from '../support/image.ts'
import { Scratch } from '../support/scratch.ts'

export type AcceptanceOptions = {
  /** This is Linux, with the stand-in in the framework's place: nothing it shows is about a Mac. */
  standIn: boolean
  restores: number
  resets: number
  coldResets: number
  /** A person is there to lock the screen and to wake the machine. */
  person: boolean
  say: (line: string) => void
}

export type Finished = { code: number | null; stdout: string; stderr: string }

/** One run: the helper, the image, and what the steps started. */
export class Acceptance {
  readonly binary: HelperBinary
  readonly image: GuestImage
  readonly options: AcceptanceOptions
  readonly #helpers: Helper[] = []
  readonly #scratches: Scratch[] = []
  #golden: Scratch | undefined

  constructor(binary: HelperBinary, image: GuestImage, options: AcceptanceOptions) {
    this.binary = binary
    this.image = image
    this.options = options
  }

  scratch(): Scratch {
    const scratch = new Scratch('accept')
    this.#scratches.push(scratch)
    return scratch
  }

  /** The place in which the first boot made its golden snapshot; every later step restores that. */
  get golden(): Scratch {
    return (this.#golden ??= this.scratch())
  }

  /** Starts `boot` without waiting for it. */
  start(scratch = this.golden, options: BootOptions = {}, image = this.image): Helper {
    const helper = bootHelper(this.binary, scratch, image, options)
    this.#helpers.push(helper)
    return helper
  }

  async boot(scratch = this.golden, options: BootOptions = {}): Promise<Helper> {
    const helper = this.start(scratch, options)
    await helper.ready()
    return helper
  }

  /** The environment in which the stand-in shows a fault; on a Mac faults are made by hand. */
  fault(switches: string): Record<string, string> {
    return this.options.standIn ? { BSM_STAND_IN_FAULTS: switches } : {}
  }

  /** Runs the helper's own short commands. */
  command(args: string[], env: Record<string, string> = {}, program = this.binary.command): Finished {
    const { status, stdout, stderr } = spawnSync(program, [...this.binary.args, ...args], {
      encoding: 'utf8',
      env: this.golden.environment(env),
      timeout: 60_000,
    })
    return { code: status, stdout, stderr }
  }

  async endHelpers(): Promise<void> {
    for (const helper of this.#helpers.splice(0)) await helper.end()
  }

  async close(): Promise<void> {
    await this.endHelpers()
    for (const scratch of this.#scratches.splice(0)) scratch.remove()
  }
}

/** A program of the system, which must succeed. */
export function system(program: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8', timeout: 120_000 })
  if (error) throw new Error(`${program} cannot be run: ${error.message}`)
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${stderr.trim()}`)
  return (stdout + stderr).trim()
}

/** The machine in one line, without its name: reports are attached to issues. */
export function machine(): string {
  const text =
    process.platform === 'darwin'
      ? `${system('sysctl', '-n', 'hw.model')}, ${system('sysctl', '-n', 'machdep.cpu.brand_string')}, macOS ${system('sw_vers', '-productVersion')} (${system('sw_vers', '-buildVersion')})`
      : `${process.platform} ${process.arch}, kernel ${system('uname', '-r')}`
  return text.replaceAll(hostname(), '…')
}
