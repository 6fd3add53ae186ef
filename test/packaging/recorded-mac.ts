/**
 * Preloaded into a process that packages for release: it says it runs on macOS, and every macOS tool is recorded and
 * answered by a stand-in instead of run. The stand-in of `codesign` keeps what matters of the real one: a signature
 * changes the file, travels with it, seals what a bundle holds, and is refused where nested code has none. It proves
 * that we drive the tools as meant, not that Apple accepts the result.
 */
import cp from 'node:child_process'
import { createHash } from 'node:crypto'
import { EventEmitter } from 'node:events'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { PassThrough } from 'node:stream'

const LOG = process.env['BSM_RECORDED_CALLS'] ?? ''
const FAULT = process.env['BSM_RECORDED_FAULT'] ?? ''
const TEAM = 'ABCDE12345'
const IDENTITY = 'AAAABBBBCCCCDDDDEEEEFFFF0000111122223333'

export type Call = { tool: string; args: string[] }
type Answer = { code: number; stdout?: string; stderr?: string }
type Signature = {
  identity: string
  identifier: string
  options: string
  timestamp: string
  entitlements: string
  digest: string
}

const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex')
const refuse = (stderr: string): Answer => ({ code: 1, stderr })
const fine: Answer = { code: 0 }

// ------------------------------------------------------------------ codesign

const TRAILER = '\n#stand-in signature:'
/** Behind the signature of an image, which it leaves valid. */
const TICKET = '\n#stand-in ticket'

const isBundle = (target: string): boolean => /\.(app|framework)$/.test(target)
const isMachO = (file: string): boolean =>
  fs.statSync(file).size > 32 && fs.readFileSync(file).subarray(0, 4).equals(Buffer.from('cffaedfe', 'hex'))

/** Where a bundle's own code and seal lie; an app's main executable stands for its app. */
function bundleOf(target: string): { home: string; executable: string } | null {
  const app = /^(.*\.app)\/Contents\/MacOS\/([^/]+)$/.exec(target)
  if (app?.[1] !== undefined && app[2] === path.basename(app[1], '.app'))
    return { home: path.join(app[1], 'Contents'), executable: target }
  if (!isBundle(target)) return null
  const name = path.basename(target).replace(/\.\w+$/, '')
  return target.endsWith('.app')
    ? { home: path.join(target, 'Contents'), executable: path.join(target, 'Contents/MacOS', name) }
    : { home: path.join(target, 'Versions/A'), executable: path.join(target, 'Versions/A', name) }
}

function read(file: string): { body: Buffer; signature: Signature | null } {
  const whole = fs.readFileSync(file)
  const ticket = whole.lastIndexOf(TICKET)
  const bytes = ticket < 0 ? whole : whole.subarray(0, ticket)
  const at = bytes.lastIndexOf(TRAILER)
  if (at < 0) return { body: bytes, signature: null }
  return {
    body: bytes.subarray(0, at),
    signature: JSON.parse(bytes.subarray(at + TRAILER.length).toString()) as Signature,
  }
}

/** Files below a bundle's home that its seal covers: all but its own code, seal and ticket. */
function sealed({ home, executable }: { home: string; executable: string }): string[] {
  return fs
    .readdirSync(home, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => file !== executable && !file.startsWith(path.join(home, '_CodeSignature')))
    .filter((file) => file !== path.join(home, 'CodeResources'))
    .sort()
}

const sealOf = (bundle: { home: string; executable: string }): string =>
  sha256(
    sealed(bundle)
      .map((file) => {
        const link = fs.lstatSync(file).isSymbolicLink()
        return `${path.relative(bundle.home, file)}:${link ? fs.readlinkSync(file) : sha256(fs.readFileSync(file))}`
      })
      .join('\n'),
  )

function codesign(args: string[]): Answer {
  const target = args.at(-1) ?? ''
  const after = (flag: string): string => args[args.indexOf(flag) + 1] ?? ''
  if (args.includes('--sign')) {
    const entitlements = args.includes('--entitlements') ? after('--entitlements') : ''
    return sign(target, {
      identity: after('--sign'),
      identifier: args.includes('--identifier') ? after('--identifier') : path.basename(target),
      options: args.includes('--options') ? after('--options') : '',
      timestamp: args.find((arg) => arg.startsWith('--timestamp')) ?? '',
      entitlements: entitlements === '' ? '' : fs.readFileSync(entitlements, 'utf8'),
      digest: '',
    })
  }
  // notarize names its app relative to a working directory; osx-sign has just verified the same one.
  if (!path.isAbsolute(target)) return fine
  if (args.includes('--display')) return display(target, args.includes('--entitlements'))
  const requirement = args.find((arg) => arg.startsWith('-R='))
  return verify(target, requirement)
}

function sign(target: string, signature: Signature): Answer {
  const bundle = bundleOf(target)
  const file = bundle?.executable ?? target
  if (bundle !== null) {
    for (const nested of sealed(bundle))
      if (!fs.lstatSync(nested).isSymbolicLink() && isMachO(nested) && read(nested).signature === null)
        return refuse(`${target}: code object is not signed at all\nIn subcomponent: ${nested}\n`)
    fs.mkdirSync(path.join(bundle.home, '_CodeSignature'), { recursive: true })
    fs.writeFileSync(path.join(bundle.home, '_CodeSignature/CodeResources'), sealOf(bundle))
  } else if (!target.endsWith('.dmg') && !isMachO(target)) return refuse(`${target}: not code\n`)
  const { body } = read(file)
  const entitlements =
    FAULT === 'entitlements' && target.endsWith('bsm-vz-helper') ? '' : signature.entitlements
  const kept: Signature = { ...signature, entitlements, digest: sha256(body) }
  fs.writeFileSync(file, Buffer.concat([body, Buffer.from(TRAILER + JSON.stringify(kept))]))
  return fine
}

function verify(target: string, requirement?: string): Answer {
  const bundle = bundleOf(target)
  const { body, signature } = read(bundle?.executable ?? target)
  if (signature === null) return refuse(`${target}: code object is not signed at all\n`)
  if (signature.digest !== sha256(body)) return refuse(`${target}: invalid signature\n`)
  if (bundle !== null) {
    const seal = fs.readFileSync(path.join(bundle.home, '_CodeSignature/CodeResources'), 'utf8')
    if (seal !== sealOf(bundle)) return refuse(`${target}: a sealed resource is missing or invalid\n`)
  }
  if (requirement?.includes(`identifier "${signature.identifier}"`) === false) return { code: 3 }
  if (requirement?.includes('subject.OU') === true && !requirement.includes(teamOf(signature)))
    return { code: 3 }
  return fine
}

const teamOf = ({ identity }: Signature): string => (identity === IDENTITY ? TEAM : 'not set')

function display(target: string, entitlements: boolean): Answer {
  const { signature } = read(bundleOf(target)?.executable ?? target)
  if (signature === null) return refuse(`${target}: code object is not signed at all\n`)
  if (entitlements) return { code: 0, stdout: signature.entitlements, stderr: `Executable=${target}\n` }
  const flags = signature.options.includes('runtime') ? '0x10000(runtime)' : '0x2(adhoc)'
  return {
    code: 0,
    stderr: `Identifier=${signature.identifier}\nCodeDirectory v=20500 flags=${flags}\nTeamIdentifier=${teamOf(signature)}\n`,
  }
}

// ------------------------------------------------------------------ the others

const stapled = (target: string): boolean =>
  target.endsWith('.dmg')
    ? fs.readFileSync(target).includes(TICKET)
    : fs.existsSync(path.join(target, 'Contents/CodeResources'))

function xcrun(args: string[]): Answer {
  const [tool, verb = ''] = args
  const target = path.resolve(args.at(-1) ?? '')
  if (tool === '--find') return { code: 0, stdout: `/usr/bin/${verb}\n` }
  if (tool === 'notarytool' && verb === 'submit')
    return FAULT === 'notarization'
      ? { code: 1, stdout: '{"id":"0000","status":"Invalid"}' }
      : { code: 0, stdout: '{"id":"0000","status":"Accepted"}' }
  if (tool === 'notarytool') return { code: 0, stdout: '{}' }
  if (verb === 'validate')
    return stapled(target) ? fine : refuse(`${target} does not have a ticket stapled to it.\n`)
  // Stapling changes an image's bytes, and puts a file beside an app's seal.
  if (target.endsWith('.dmg')) fs.appendFileSync(target, TICKET)
  else fs.writeFileSync(path.join(target, 'Contents/CodeResources'), 'stand-in ticket')
  return fine
}

function ditto(args: string[]): Answer {
  const [from = '', to = ''] = args.slice(-2)
  if (args.includes('-x')) cp.execFileSync('7za', ['x', '-snl', '-y', `-o${to}`, from], { stdio: 'ignore' })
  else fs.writeFileSync(to, 'stand-in for an archive')
  return fine
}

type DmgSettings = { contents: { path: string; name?: string; type: string }[] }

function hdiutil(args: string[]): Answer {
  const place = args[args.indexOf('-mountpoint') + 1] ?? ''
  if (args[0] === 'detach') fs.rmSync(args[1] ?? '', { recursive: true })
  if (args[0] !== 'attach') return fine
  const text = fs.readFileSync(args.at(-1) ?? '', 'utf8')
  const { contents } = JSON.parse(text.slice(0, text.indexOf('\n#'))) as DmgSettings
  for (const { path: from, name, type } of contents) {
    const to = path.join(place, name ?? path.basename(from))
    if (type === 'link') continue
    fs.cpSync(from, to, { recursive: true, verbatimSymlinks: true })
  }
  return fine
}

function pngSize(file: string): string {
  const bytes = fs.readFileSync(file)
  return `  pixelHeight: ${bytes.readUInt32BE(20)}\n  pixelWidth: ${bytes.readUInt32BE(16)}\n`
}

function open(args: string[]): Answer {
  const app = args[args.indexOf('-a') + 1] ?? ''
  const info = fs.readFileSync(path.join(app, 'Contents/Info.plist'), 'utf8')
  const version = /CFBundleShortVersionString<\/key>\s*<string>(.*?)</.exec(info)?.[1]
  fs.writeFileSync(args[args.indexOf('--stdout') + 1] ?? '', `${JSON.stringify({ ok: true, version })}\n`)
  return fine
}

const TOOLS: Record<string, (args: string[]) => Answer> = {
  codesign,
  xcrun,
  ditto,
  hdiutil,
  open,
  security: (args) =>
    args[0] === 'find-identity' && FAULT !== 'identity'
      ? {
          code: 0,
          stdout: `  1) ${IDENTITY} "Developer ID Application: Example Org (${TEAM})"\n     1 valid identities found\n`,
        }
      : { code: 0, stdout: '     0 valid identities found\n' },
  sips: (args) => ({ code: 0, stdout: pngSize(args.at(-1) ?? '') }),
  tiffutil: (args) => {
    fs.copyFileSync(args[1] ?? '', args.at(-1) ?? '')
    return fine
  },
  dmgbuild: (args) => {
    const settings = JSON.parse(fs.readFileSync(args[1] ?? '', 'utf8')) as DmgSettings
    // Names in the settings are those of the folder that it runs in.
    for (const item of settings.contents)
      if (item.type !== 'link') item.path = fs.realpathSync(path.resolve(item.path))
    fs.writeFileSync(args.at(-1) ?? '', `${JSON.stringify(settings)}\n#stand-in for a disk image`)
    return fine
  },
  spctl: (args) => (stapled(args.at(-1) ?? '') ? fine : refuse('rejected\n')),
}

// ------------------------------------------------------------------ the machine

Object.defineProperty(process, 'platform', { value: 'darwin' })
Object.defineProperty(process, 'arch', { value: 'arm64' })
os.release = () => '25.1.0'
os.platform = () => 'darwin'
os.arch = () => 'arm64'

/** What secrets become in a log: notarize wraps them so that they print as stars. */
function answer(command: string, given: readonly unknown[], cwd: unknown): Answer | null {
  const args = given.map(String)
  const tool = path.basename(command)
  const stand = Object.hasOwn(TOOLS, tool) ? TOOLS[tool] : undefined
  if (stand === undefined) return null
  fs.appendFileSync(LOG, `${JSON.stringify({ tool, args } satisfies Call)}\n`)
  const from = process.cwd()
  try {
    if (typeof cwd === 'string') process.chdir(cwd)
    return stand(args)
  } catch (error) {
    return refuse(`stand-in of ${tool}: ${error instanceof Error ? error.message : String(error)}\n`)
  } finally {
    process.chdir(from)
  }
}

/** A child process in the little of its shape that the callers look at. */
function child({ code, stdout = '', stderr = '' }: Answer): cp.ChildProcess {
  const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() }
  const made = Object.assign(new EventEmitter(), streams, { kill: () => true, pid: 0, exitCode: code })
  streams.stdout.end(stdout)
  streams.stderr.end(stderr)
  // After both streams were read, as with a real one.
  let open = 2
  const ended = (): void => {
    open -= 1
    if (open > 0) return
    made.emit('exit', code, null)
    made.emit('close', code, null)
  }
  for (const stream of [streams.stdout, streams.stderr]) stream.once('end', ended)
  return made as unknown as cp.ChildProcess
}

type Finished = (error: Error | null, stdout: string, stderr: string) => void
const { spawn, execFile } = cp
Object.assign(cp, {
  spawn: (command: string, args: readonly string[], options: cp.SpawnOptions) => {
    const said = answer(command, args, options.cwd)
    return said === null ? spawn(command, args, options) : child(said)
  },
  execFile: (command: string, args: readonly string[], options: object | Finished, finished?: Finished) => {
    const said = answer(command, args, 'cwd' in options ? options.cwd : undefined)
    if (said === null) return execFile(command, args, options as cp.ExecFileOptions, finished as never)
    const done = typeof options === 'function' ? (options as Finished) : finished
    const error =
      said.code === 0 ? null : Object.assign(new Error(said.stderr ?? command), { code: said.code })
    process.nextTick(() => done?.(error, said.stdout ?? '', said.stderr ?? ''))
    return child(said)
  },
})
syncBuiltinESMExports()
