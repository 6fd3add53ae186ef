import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync, chmodSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from './deadline.ts'
import { buildGo } from './go-binary.ts'

/** What it can be told to do wrong; see `lying-qemu/main.go`. */
export type Lie = 'refuse' | 'lie' | 'silent' | 'plant'

/**
 * A QEMU that lies when told to, with the real one behind it; given to a helper as `$BSM_QEMU`. Its
 * directory is open to the unprivileged user as whom the helper runs QEMU.
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
    return { BSM_QEMU: this.path }
  }

  tell(lie: Lie, content = ''): void {
    writeFileSync(join(this.dir, lie), content)
  }

  relent(...lies: Lie[]): void {
    for (const lie of lies.length > 0 ? lies : (['refuse', 'lie', 'silent', 'plant'] as const))
      rmSync(join(this.dir, lie), { force: true })
  }

  /** Pids of the VMs whose guests took a plant. */
  get planted(): string[] {
    return readdirSync(this.dir).filter((name) => name.startsWith('planted-'))
  }

  async plantedMore(than: number): Promise<void> {
    await until(60_000, 'a planted standby', () => this.planted.length > than)
  }

  remove(): void {
    if (existsSync(this.dir)) rmSync(this.dir, { recursive: true })
  }
}
