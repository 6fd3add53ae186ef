import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { randomUUID } from 'node:crypto'

/**
 * A private world for one helper or app: every directory it is told to use lies here, and its
 * children are known by `marker`. The path is short because a socket's may have 104 bytes at most.
 */
export class Scratch {
  readonly root: string
  #mounted = false
  readonly marker = `BSM_TEST_MARKER=${randomUUID()}`

  constructor(name = 's') {
    // Links resolved, so that what processes say of their files begins with it: /tmp is a link on macOS.
    this.root = realpathSync(mkdtempSync(join(process.env['BSM_TEST_TMP'] ?? '/tmp', `bsm-${name}-`), 'utf8'))
    for (const dir of [this.stateDir, this.configDir, this.tempDir, this.runtimeDir, this.home])
      mkdirSync(dir, { mode: 0o700 })
  }

  get stateDir(): string {
    return join(this.root, 'state')
  }
  get configDir(): string {
    return join(this.root, 'config')
  }
  get tempDir(): string {
    return join(this.root, 'tmp')
  }
  get runtimeDir(): string {
    return join(this.root, 'run')
  }
  get home(): string {
    return join(this.root, 'home')
  }
  path(...parts: string[]): string {
    return join(this.root, ...parts)
  }

  /** The caller's environment with every place the product may write to turned to this scratch. */
  environment(extra: Record<string, string> = {}): Record<string, string> {
    const inherited = Object.entries(process.env).flatMap(([key, value]) =>
      value === undefined || key.startsWith('VITEST') || key.startsWith('BSM_STATE')
        ? []
        : [[key, value] as const],
    )
    const [markerKey = '', markerValue = ''] = this.marker.split('=')
    return {
      ...Object.fromEntries(inherited),
      BSM_CONFIG_DIR: this.configDir,
      BSM_STATE_DIR: this.stateDir,
      HOME: this.home,
      TMPDIR: this.tempDir,
      XDG_RUNTIME_DIR: this.runtimeDir,
      XDG_STATE_HOME: join(this.home, 'xdg-state'),
      XDG_CONFIG_HOME: join(this.home, 'xdg-config'),
      [markerKey]: markerValue,
      ...extra,
    }
  }

  /** Files below the scratch, relative, each with its kind. */
  list(below = this.root): { path: string; kind: 'file' | 'directory' | 'socket' | 'other' }[] {
    return readdirSync(below, { withFileTypes: true }).flatMap((entry) => {
      const path = join(below, entry.name)
      const kind = entry.isDirectory()
        ? 'directory'
        : entry.isSocket()
          ? 'socket'
          : entry.isFile()
            ? 'file'
            : 'other'
      const own = { path: relative(this.root, path), kind } as const
      return kind === 'directory' ? [own, ...this.list(path)] : [own]
    })
  }

  /** What a helper that ended must not have left: sockets, temporary files, anything but its records. */
  leftovers(): string[] {
    const records =
      /^(state\/(golden|evidence|logs)(\/|$)|state\/epoch$|config\/(manifest\.key$|epoch-floors\/[0-9a-f]{32}$))/
    return this.list()
      .filter(({ path, kind }) => kind !== 'directory' && /^(state|tmp|run|home|config)\//.test(path))
      .filter(({ path, kind }) => kind !== 'file' || !records.test(path))
      .map(({ path, kind }) => `${kind} ${path}`)
  }

  /** What an app that ended must not have left: sockets, tokens, locks, temporary files. */
  appLeftovers(): string[] {
    return this.list()
      .filter(({ path, kind }) => kind === 'socket' || /token|lock$|^tmp\/|^run\/./.test(path))
      .map(({ path, kind }) => `${kind} ${path}`)
  }

  mode(...parts: string[]): number {
    return lstatSync(this.path(...parts)).mode & 0o7777
  }

  /** Puts the state directory on a file system of its own, of `size` (root only). */
  limitState(size: string): void {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=0700`, 'tmpfs', this.stateDir])
    this.#mounted = true
  }

  remove(): void {
    if (this.#mounted) execFileSync('umount', ['-l', this.stateDir])
    this.#mounted = false
    rmSync(this.root, { recursive: true, force: true })
  }
}
