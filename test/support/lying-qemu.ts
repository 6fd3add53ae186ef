import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync, chmodSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './deadline.ts'
import { buildGo } from './go-binary.ts'

/** What it can be told to do wrong; see `lying-qemu/main.go`. */
const LIES = ['refuse', 'lie', 'silent', 'plant', 'phantom', 'leak', 'frames', 'from-disk'] as const
export type Lie = (typeof LIES)[number]

type Fields = Record<string, unknown>

/** What a hostile dispatcher sends in the place of a frame; see `lying-qemu/frames.go`. */
export type FramePart = {
  /** Another guest port than the frame's own. */
  port?: number
  /** On the connection of its port that was open before the present one. */
  dead?: boolean
  /** Fields that get another value. */
  set?: Fields
  /** In what an EvidenceChunk carries. */
  replace?: { from: string; to: string }
  /** Base64: these bytes instead of the frame, with or without a length before them. */
  raw?: string
  /** Base64: these bytes instead of a record of the bridge. */
  bare?: string
  /** Only so many bytes. */
  cut?: number
  /** A byte at a time, with so many milliseconds between two. */
  every_ms?: number
  /** The connection ends behind it. */
  close?: boolean
}

/** Which frames are meant: those of a port whose messages have these fields. No part drops the frame. */
export type FrameRule = {
  port: number
  where: Fields
  /** So many counts of its descriptors a VM gives before it begins to lie: at its preparation it gives one. */
  answered?: number
  /** Only the first so many VMs lie. */
  vms?: number
} & ({ send: FramePart[] } | { later: true })

/**
 * A QEMU that lies when told to, with the real one behind it; given to a helper as `$BSM_QEMU`. Its
 * directory is open to the unprivileged user as whom the helper runs QEMU. The stand-in of Virtualization.framework
 * keeps its own account of a machine's state: its fault reads the same lie.
 */
export class LyingQemu {
  readonly dir = mkdtempSync(join(tmpdir(), 'bsm-lying-'))
  readonly path = join(this.dir, 'qemu-system-aarch64')

  constructor() {
    buildGo('test/support/lying-qemu', this.path)
    chmodSync(this.dir, 0o777)
    chmodSync(this.path, 0o755)
  }

  get environment(): Record<string, string> {
    return { BSM_QEMU: this.path, BSM_STAND_IN_FAULTS: `state-forged:${join(this.dir, 'lie')}` }
  }

  tell(lie: Lie, content = ''): void {
    const next = join(this.dir, `.${lie}`)
    writeFileSync(next, content)
    renameSync(next, join(this.dir, lie)) // whole or not at all: it is read at any moment
  }

  /** From now on guests send other frames. */
  attack(rules: readonly FrameRule[]): void {
    for (const name of this.#reports('attacked')) rmSync(join(this.dir, name))
    this.tell('frames', JSON.stringify(rules))
  }

  /** How many VMs' guests had a frame of theirs changed since the attack began. */
  get attacked(): number {
    return this.#reports('attacked').length
  }

  relent(...lies: Lie[]): void {
    for (const lie of lies.length > 0 ? lies : LIES) rmSync(join(this.dir, lie), { force: true })
  }

  /** Pids of the VMs whose guests took a plant. */
  get planted(): string[] {
    return this.#reports('planted')
  }

  async plantedMore(than: number): Promise<void> {
    await until(60_000, 'a planted standby', () => this.planted.length > than)
  }

  #reports(what: string): string[] {
    return readdirSync(this.dir).filter((name) => name.startsWith(`${what}-`))
  }

  remove(): void {
    if (existsSync(this.dir)) rmSync(this.dir, { recursive: true })
  }
}
