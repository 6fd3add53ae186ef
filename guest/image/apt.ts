import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { digest, fileDigest } from './digest.ts'
import { run } from './run.ts'

/** A Debian package as it was downloaded. */
export interface Package {
  name: string
  version: string
  digest: string
  file: string
}

export type Log = (line: string) => void

/**
 * Resolves and downloads arm64 packages with the machine's own apt sources and keys, in a state directory of our own:
 * the machine's package state is neither read nor changed, apt's signature checks stay on.
 */
export class Apt {
  readonly #dir: string
  readonly #log: Log

  constructor(dir: string, log: Log) {
    this.#dir = dir
    this.#log = log
    for (const sub of ['lists/partial', 'cache/archives/partial', 'debs'])
      mkdirSync(join(dir, sub), { recursive: true })
    if (!existsSync(join(dir, 'status'))) writeFileSync(join(dir, 'status'), '')
  }

  get #options(): string[] {
    const settings = {
      'APT::Architecture': 'arm64',
      'APT::Architectures': 'arm64',
      'APT::Install-Recommends': 'false',
      'APT::Sandbox::User': 'root',
      'Acquire::Retries': '3',
      'Debug::NoLocking': 'true',
      'Dir::Cache': join(this.#dir, 'cache'),
      'Dir::State': this.#dir,
      'Dir::State::Lists': join(this.#dir, 'lists'),
      'Dir::State::status': join(this.#dir, 'status'),
    }
    return Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`])
  }

  async #update(): Promise<void> {
    if (readdirSync(join(this.#dir, 'lists')).some((name) => name.includes('Packages'))) return
    const start = Date.now()
    await run('apt-get', [...this.#options, '-q', 'update'])
    this.#log(`package lists fetched in ${String(Date.now() - start)} ms`)
  }

  /** The real package a meta package (as linux-image-cloud-arm64) stands for today. */
  async firstDependency(meta: string): Promise<string> {
    await this.#update()
    const text = await run('apt-cache', [...this.#options, 'depends', meta])
    const name = /Depends: (\S+)/.exec(text)?.[1]
    if (name === undefined) throw new Error(`apt knows no dependency of ${meta}; run with --update.`)
    return name
  }

  /** The packages, and unless `alone` everything they depend on. */
  async fetch(packages: readonly string[], exclude: readonly string[], alone = false): Promise<Package[]> {
    await this.#update()
    const chosen = alone
      ? packages.map((name) => ({ name, version: undefined }))
      : await this.#dependencies(packages, exclude)
    return this.#download(chosen)
  }

  async #dependencies(packages: readonly string[], exclude: readonly string[]) {
    const text = await run('apt-get', [...this.#options, '-qq', '--print-uris', 'install', ...packages])
    const chosen = [...text.matchAll(/^'[^']+' (\S+?)_(\S+)_(?:arm64|all)\.deb /gm)].map((m) => ({
      name: m[1] ?? '',
      version: decodeURIComponent(m[2] ?? ''),
    }))
    return chosen.filter((p) => !exclude.includes(p.name))
  }

  async #download(chosen: readonly { name: string; version: string | undefined }[]): Promise<Package[]> {
    const debs = join(this.#dir, 'debs')
    const start = Date.now()
    const wanted = chosen.map(({ name, version }) => (version === undefined ? name : `${name}=${version}`))
    await run('apt-get', [...this.#options, '-q', 'download', ...wanted], { cwd: debs })
    this.#log(`${String(chosen.length)} packages at hand in ${String(Date.now() - start)} ms`)
    const files = readdirSync(debs).filter((file) => file.endsWith('.deb'))
    const found = chosen.map(async ({ name, version }): Promise<Package> => {
      const versions = files.filter((file) =>
        file.startsWith(`${name}_${version === undefined ? '' : encoded(version)}`),
      )
      const newest = versions
        .sort((a, b) => statSync(join(debs, a)).mtimeMs - statSync(join(debs, b)).mtimeMs)
        .at(-1)
      if (newest === undefined) throw new Error(`apt did not deliver the package ${name}.`)
      const file = join(debs, newest)
      return {
        name,
        version: decodeURIComponent(newest.split('_')[1] ?? ''),
        digest: await fileDigest(file),
        file,
      }
    })
    return (await Promise.all(found)).sort((a, b) => (a.name < b.name ? -1 : 1))
  }
}

/** apt writes an epoch's colon into file names as %3a. */
const encoded = (version: string): string => version.replaceAll(':', '%3a') + '_'

/**
 * The packages of a recipe as they were resolved last: a warm build needs neither apt nor the network, and stays the
 * same until someone asks for newer packages (`--update`).
 */
export async function lockedPackages(
  dir: string,
  key: unknown,
  update: boolean,
  resolve: () => Promise<Package[]>,
): Promise<Package[]> {
  const lock = join(dir, `resolved-${digest(JSON.stringify(key)).slice(7, 23)}.json`)
  if (!update && existsSync(lock)) {
    const packages = JSON.parse(readFileSync(lock, 'utf8')) as Package[]
    if (packages.every((p) => existsSync(p.file))) return packages
  }
  const packages = await resolve()
  writeFileSync(lock, JSON.stringify(packages, undefined, 1))
  return packages
}
