import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { basename, delimiter, join, resolve } from 'node:path'
import * as z from 'zod'
import { digest, fileDigest } from './digest.ts'
import { ImageBuildError } from './error.ts'
import type { Input } from './manifest.ts'
import { run } from './run.ts'

/** What the Go program is compiled by, for and with; `go list` and `go build` have to agree. */
export const GO_ENV = { CGO_ENABLED: '0', GOOS: 'linux', GOARCH: 'arm64', GOFLAGS: '', GOTOOLCHAIN: 'local' }
export const GO_PACKAGE = './cmd/bsm-guest'

interface Program {
  name: string
  /** The option by which it says its version, on either stream. */
  option: string
  /** A shared library that does its work. */
  library?: RegExp
}

/** The file systems are written by e2fsprogs' library: its programs are a shell around that. */
const EXT2 = { option: '-V', library: /=> (\S*\/libext2fs\.\S+)/ }

const PROGRAMS: Program[] = [
  { name: 'debugfs', ...EXT2 },
  { name: 'dpkg-deb', option: '--version' },
  { name: 'mke2fs', ...EXT2 },
  { name: 'tar', option: '--version' }, // what dpkg-deb unpacks with
  { name: 'xz', option: '--version' }, // for the kernel modules of Debian 13
]

/**
 * The programs that turn the other inputs into the image, by the digest of their executables: a version's name says
 * nothing about a build of one's own. apt is none of them: what it brings is named, package by package.
 */
export async function toolInputs(guestDir: string, tags: readonly string[]): Promise<Input[]> {
  const found = await Promise.all([goInputs(guestDir, tags), programInputs()])
  return found.flat().sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** All are asked by one shell: a warm start waits for this. */
async function programInputs(): Promise<Input[]> {
  const files = PROGRAMS.map(({ name }) => executable(name))
  const ask = PROGRAMS.map(({ option, library }, index) => {
    const file = `"$${String(index + 1)}"`
    return `${file} ${option} 2>&1; ${library ? `ldd ${file} 2>&1; ` : ''}echo ${BETWEEN}`
  })
  const said = (await run('sh', ['-c', `${ask.join('; ')}; true`, 'sh', ...files])).split(BETWEEN)
  return await Promise.all(
    PROGRAMS.map(async ({ name, library }, index) => {
      const text = said[index] ?? ''
      const loaded = library?.exec(text)?.[1] // none in a static program
      const parts = [files[index] ?? '', ...(loaded === undefined ? [] : [loaded])]
      return {
        name: `tool:${name}`,
        version: /\d+(?:\.\d+)+\S*/.exec(text)?.[0] ?? 'unknown',
        digest: await filesDigest(parts),
      }
    }),
  )
}

const BETWEEN = '---bsm---'

const GoEnvironment = z.object({ GOROOT: z.string(), GOTOOLDIR: z.string(), GOVERSION: z.string() })

/** Go's own programs, and of its library what the guest's binary is compiled from. */
async function goInputs(guestDir: string, tags: readonly string[]): Promise<Input[]> {
  const go = executable('go')
  const options = { cwd: guestDir, env: GO_ENV }
  const list =
    '{{if .Standard}}{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}}\n{{end}}{{range .SFiles}}{{$dir}}/{{.}}\n{{end}}{{range .HFiles}}{{$dir}}/{{.}}\n{{end}}{{end}}'
  const [environment, listed] = await Promise.all([
    run(go, ['env', '-json', 'GOROOT', 'GOTOOLDIR', 'GOVERSION'], options),
    run(go, ['list', '-deps', ...tags, '-f', list, GO_PACKAGE], options),
  ])
  const { GOROOT, GOTOOLDIR, GOVERSION } = GoEnvironment.parse(JSON.parse(environment))
  const programs = [go, ...['asm', 'compile', 'link'].map((name) => join(GOTOOLDIR, name))]
  const sources = [
    ...listed.split('\n').filter((line) => line !== ''),
    join(GOROOT, 'pkg/include/textflag.h'),
  ]
  const library = [...new Set(sources)]
    .sort()
    .map((path) => `${path.slice(GOROOT.length)}\0${digest(readFileSync(path))}\n`)
  return [
    { name: 'go-library', version: GOVERSION, digest: digest(library.join('')) },
    { name: 'tool:go', version: GOVERSION, digest: await filesDigest(programs) },
  ]
}

/** One digest of several files: their names, without folders, and contents. */
async function filesDigest(paths: readonly string[]): Promise<string> {
  const lines = []
  for (const path of paths) lines.push(`${basename(path)}\0${await fileDigest(path)}\n`)
  return digest(lines.join(''))
}

/** The file that a program's name stands for. */
function executable(name: string): string {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = resolve(folder, name)
    try {
      accessSync(path, constants.X_OK)
      if (statSync(path).isFile()) return path
    } catch {
      continue
    }
  }
  throw new ImageBuildError(`There is no program ${name}.`, 'Install it and run the same command again.')
}
