import { Bench } from '../conformance/context.ts'
import type { Item } from '../gates/report.ts'
import { helperBinary, type Which } from '../support/helper-binary.ts'
import { freshImage } from '../support/image.ts'
import { LyingQemu } from '../support/lying-qemu.ts'
import { sabotaged } from '../support/sabotage.ts'
import { AppStage, SharedApps } from './app-stage.ts'
import { Broken } from '../gates/broken.ts'
import { Asking } from './asking.ts'
import { DEFAULT_BUDGET_MS, type Defect, type Probe } from './probe.ts'
import { Stage } from './stage.ts'

export type Verdict = Pick<Item, 'outcome' | 'reason' | 'ms'> & {
  statusMs: number[]
  /** The probe itself saw its promise broken: nothing else went wrong. */
  isSeen: boolean
}

/** Where probes run: benches of one helper, made when first needed and kept for the next probe. */
export class Arena {
  readonly which: Which
  readonly #benches = new Map<string, Promise<Bench>>()
  readonly #qemu = new LyingQemu()
  readonly #apps = new SharedApps()

  constructor(which: Which) {
    this.which = which
  }

  /** Runs one probe to its verdict; with `isDefective`, on a product that has the probe's defect. */
  async run(probe: Probe, isDefective = false): Promise<Verdict> {
    if (probe.only !== undefined && probe.only.helper !== this.which)
      return { outcome: 'not run', reason: probe.only.because, ms: 0, statusMs: [], isSeen: false }
    const since = performance.now()
    const statusMs: number[] = []
    const verdict = (outcome: Item['outcome'], reason: string, isSeen = false): Verdict => ({
      outcome,
      reason,
      ms: performance.now() - since,
      statusMs,
      isSeen,
    })
    const budget = probe.budgetMs ?? DEFAULT_BUDGET_MS
    let apps: AppStage | undefined
    try {
      let seen = ''
      const bench = await this.#bench(probe, isDefective)
      const defect: Partial<Defect> = isDefective ? probe.defect : {}
      const stageOfApps = (apps = new AppStage(this.which, bench, defect, this.#apps))
      await bench.run({
        id: probe.id,
        section: '§4',
        title: probe.promise,
        needs: probe.needs === 'vm' || probe.needs === 'own-vm' ? probe.needs : 'none',
        deadlineMs: budget,
        run: async (context) => {
          this.#qemu.relent()
          if (defect.qemu !== undefined) this.#qemu.tell(defect.qemu)
          const stage = new Stage(this.which, context, this.#qemu, defect, stageOfApps)
          const prepared = await probe.setup?.(stage)
          const asking = new Asking(stage, statusMs)
          try {
            const said = await probe.run(stage, prepared)
            if (typeof said === 'string') seen = said
          } finally {
            await asking.end()
            this.#qemu.relent()
            await probe.teardown?.(stage, prepared)
          }
        },
      })
      await stageOfApps.end(false)
      return verdict('held', seen)
    } catch (error) {
      await apps?.end(true)
      const said = error instanceof Error ? error.message : String(error)
      return verdict('broken', said.slice(0, 1_500), error instanceof Broken)
    }
  }

  async close(): Promise<void> {
    const left = await this.#apps.close()
    for (const bench of [...this.#benches.values()].reverse()) await (await bench.catch(() => null))?.close()
    this.#qemu.remove()
    if (left.length > 0) throw new Error(`the shared app left:\n  ${left.join('\n  ')}`)
  }

  #bench({ variant = 'product', defect }: Probe, isDefective: boolean): Promise<Bench> {
    const sabotage = isDefective ? defect.helper : undefined
    const of = isDefective && defect.asRoot !== undefined ? 'test' : variant
    return this.#once(`${of} ${sabotage ?? ''}`, async () => {
      if (sabotage === undefined)
        return new Bench(await helperBinary(this.which), await freshImage('base', of))
      const honest = await this.#once(
        `${of} `,
        async () => new Bench(await helperBinary(this.which), await freshImage('base', of)),
      )
      return new Bench(sabotaged(sabotage, honest.binary), honest)
    })
  }

  #once(name: string, make: () => Promise<Bench>): Promise<Bench> {
    const made = this.#benches.get(name) ?? make()
    this.#benches.set(name, made)
    return made
  }
}
