import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileDigest } from './digest.ts'
import { ImageBuildError } from './error.ts'
import type { Package } from './packages.ts'
import { run } from './run.ts'

export type Log = (line: string) => void

const NETWORK = "Check the network and this machine's apt sources, then run the same command again."

/**
 * Resolves and downloads arm64 packages with the machine's own apt sources and keys, in a state directory of our own:
 * the machine's package state is neither read nor changed, apt's signature checks stay on.
 */
export class Apt {
  readonly #dir: string
  readonly #log: Log
  /** True once the package lists are today's: they are fetched at most once a build. */
  #fresh = false

  constructor(dir: string, log: Log) {
    this.#dir = dir
    this.#log = log
    for (const sub of ['lists/partial', 'cache/archives/partial', 'debs'])
      mkdirSync(join(dir, sub), { recursive: true })
    if (!existsSync(join(dir, 'status'))) writeFileSync(join(dir, 'status'), '')
  }

  /**
   * The packages that `wanted` takes of the named ones and all they depend on. `update` asks for today's package lists;
   * without it the lists of an earlier build serve, as long as the mirror still has what they name.
   */
  async fetch(
    packages: readonly string[],
    wanted: (name: string) => boolean,
    update: boolean,
  ): Promise<Package[]> {
    if (!this.#hasLists() || (update && !this.#fresh)) await this.#refresh(update)
    try {
      return await this.#download(await this.#resolve(packages, wanted))
    } catch (error) {
      if (this.#fresh || !(error instanceof ImageBuildError)) throw error
      this.#log('a package is not to be had as the old package lists name it: refreshing them')
      await this.#refresh(true)
      return await this.#download(await this.#resolve(packages, wanted))
    }
  }

  #hasLists(): boolean {
    return readdirSync(join(this.#dir, 'lists')).some((name) => name.includes('Packages'))
  }

  /** Fetches the package lists; if not `strict`, one source that does not answer is no reason to give up. */
  async #refresh(strict: boolean): Promise<void> {
    const start = Date.now()
    try {
      // Without the error mode, apt reports success when no list could be fetched.
      await this.#aptGet(['-o', 'APT::Update::Error-Mode=any', '-q'], 'update', [])
    } catch (error) {
      if (strict || !this.#hasLists()) throw error
      this.#log('some apt sources did not answer: going on with those that did')
    }
    this.#fresh = true
    this.#log(`package lists fetched in ${String(Date.now() - start)} ms`)
  }

  /** The files that apt would fetch for an installation on an empty machine. */
  async #resolve(packages: readonly string[], wanted: (name: string) => boolean): Promise<Resolved[]> {
    const text = await this.#aptGet(['-qq', '--print-uris'], 'install', packages)
    const chosen = parseUris(text).filter(({ name }) => wanted(name))
    if (chosen.length === 0)
      throw new ImageBuildError(`apt names no package to fetch for ${packages.join(', ')}.`, NETWORK)
    return chosen
  }

  async #download(chosen: readonly Resolved[]): Promise<Package[]> {
    const debs = join(this.#dir, 'debs')
    const start = Date.now()
    const exact = chosen.map(({ name, version }) => `${name}=${version}`)
    await this.#aptGet(['-q'], 'download', exact, debs)
    this.#log(`${String(chosen.length)} packages at hand in ${String(Date.now() - start)} ms`)
    const found = chosen.map(async ({ name, version, fileName }): Promise<Package> => {
      const file = join(debs, fileName)
      if (!existsSync(file)) throw new ImageBuildError(`apt did not deliver ${fileName}.`, NETWORK)
      return { name, version, digest: await fileDigest(file), file }
    })
    return (await Promise.all(found)).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  #aptGet(
    options: readonly string[],
    command: string,
    args: readonly string[],
    cwd = this.#dir,
  ): Promise<string> {
    const settings = {
      'APT::Architecture': 'arm64',
      'APT::Architectures': 'arm64',
      'APT::Install-Recommends': 'false',
      'APT::Sandbox::User': 'root',
      'Acquire::Retries': '3',
      'Acquire::http::Timeout': '30',
      'Acquire::https::Timeout': '30',
      'Debug::NoLocking': 'true',
      'Dir::Cache': join(this.#dir, 'cache'),
      'Dir::State': this.#dir,
      'Dir::State::Lists': join(this.#dir, 'lists'),
      'Dir::State::status': join(this.#dir, 'status'),
    }
    const own = Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`])
    return run('apt-get', [...own, ...options, command, ...args], {
      cwd,
      deadline: 600_000,
      label: `apt-get ${command}`,
      next: NETWORK,
    })
  }
}

interface Resolved {
  name: string
  version: string
  fileName: string
}

/** Reads the lines of `--print-uris`: `'uri' name_version_arch.deb size hash`, an epoch's colon written as %3a. */
export function parseUris(text: string): Resolved[] {
  return [...text.matchAll(/^'[^']+' ((\S+?)_(\S+)_(?:arm64|all)\.deb) /gm)].map((m) => ({
    name: m[2] ?? '',
    version: decodeURIComponent(m[3] ?? ''),
    fileName: m[1] ?? '',
  }))
}
