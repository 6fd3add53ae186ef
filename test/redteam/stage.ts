import type { ChildProcess } from 'node:child_process'
import type { Context } from '../conformance/context.ts'
import type { BootOptions, ExecExtras, Helper, ResponseTo } from '../support/helper.ts'
import type { Which } from '../support/helper-binary.ts'
import type { GuestImage } from '../support/image.ts'
import type { LyingQemu } from '../support/lying-qemu.ts'
import type { AppStage, AppVisit } from './app-stage.ts'
import type { Defect } from './probe.ts'

/** Who is asked for a status: a helper or an app, and its process. */
export type Watched = { status: () => Promise<unknown>; child: ChildProcess }

/** What one probe may use. Everything it starts is ended when it is over, and its remains are looked for. */
export class Stage {
  readonly which: Which
  readonly #context: Context
  readonly #defect: Partial<Defect>
  readonly #qemu: LyingQemu
  readonly #apps: AppStage
  #watched: Watched | null = null

  constructor(which: Which, context: Context, qemu: LyingQemu, defect: Partial<Defect>, apps: AppStage) {
    this.which = which
    this.#context = context
    this.#qemu = qemu
    this.#defect = defect
    this.#apps = apps
  }

  get context(): Context {
    return this.#context
  }

  get image(): GuestImage {
    return this.#context.image
  }

  /** What the probe attacks now; null before there is anything. */
  get watched(): Watched | null {
    return this.#watched
  }

  /** From now on statuses are asked of this. */
  watch(one: Watched): void {
    this.#watched = one
  }

  /** The VM that probes of need `vm` share. */
  get vm(): Helper {
    const { vm } = this.#context
    this.watch(vm)
    return vm
  }

  /** A helper of its own, booted. */
  async own(options: BootOptions = {}): Promise<Helper> {
    const helper = await this.#context.own(options)
    this.watch(helper)
    return helper
  }

  /** The app that probes of need `app` share. */
  async app(): Promise<AppVisit> {
    return this.#watching(await this.#apps.shared())
  }

  /** An app of its own, ready. */
  async ownApp(env: Record<string, string> = {}): Promise<AppVisit> {
    return this.#watching(await this.#apps.own(env))
  }

  /** Apps of which a probe sets the scene itself. */
  get apps(): AppStage {
    return this.#apps
  }

  #watching(app: AppVisit): AppVisit {
    this.watch({ status: () => app.person.status(), child: app.process.child })
    return app
  }

  /** A QEMU that lies when told to; a helper is given its `environment`. */
  get qemu(): LyingQemu {
    return this.#qemu
  }

  /** An option that a person gives `bsm exec`, or nothing. */
  get option(): string {
    return this.#defect.option ?? ''
  }

  /** What the tool of this stage is: tools of one VM and one privilege are alike. */
  get privilege(): string {
    return this.#defect.asRoot ?? 'tool'
  }

  /** Runs a shell command as any tool runs, in the VM of need `vm`. */
  async tool(command: string, extras: ExecExtras = {}): Promise<ResponseTo<'exec'>> {
    const { asRoot } = this.#defect
    return asRoot === undefined
      ? await this.vm.sh(command, extras)
      : await this.vm.exec('root.sh', { command: `${asRoot}\n${command}` }, extras)
  }

  /** Runs a shell command as root and unfiltered, which no tool of the product can. */
  async root(command: string, extras: ExecExtras = {}): Promise<string> {
    const { stdout, stderr, error, exit_code } = await this.vm.exec('root.sh', { command }, extras)
    if (error !== undefined || exit_code !== 0)
      throw new Error(`as root: ${exit_code} ${JSON.stringify(error)} ${stderr}`)
    return stdout.trim()
  }
}
