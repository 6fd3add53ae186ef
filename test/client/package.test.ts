import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { buildCli } from '../../build/bundle.ts'
import { buildClient } from '../../build/client-package.ts'
import { AppProcess } from '../support/app.ts'
import { freshImage, repository } from '../support/image.ts'
import { Scratch } from '../support/scratch.ts'

/** `brainstorm-sandbox/client` as another project gets it: packed, installed without a network, typed, run. */
const scratch = new Scratch('client')
const run = promisify(execFile)
const STEP_MS = 150_000
let app: AppProcess
let token: string

beforeAll(async () => {
  app = await (await AppProcess.start(scratch, await freshImage())).ready()
  await using control = await app.control()
  token = await control.addClient('other-project')
})
afterAll(async () => {
  await app?.dispose()
  scratch.remove()
})

const PROGRAM = `
import {
  AgentSandbox,
  BsmError,
  Sandbox,
  SandboxToolTimeoutError,
  outputBytes,
  type AgentExecResponse,
} from 'brainstorm-sandbox/client'

const credentials = { token: process.env.TOKEN ?? '', client: 'other-project', socketPath: process.env.SOCKET ?? '' }
const said: string[] = []
const report: Record<string, unknown> = {}
{
  await using sandbox = await Sandbox.connect(credentials)
  const response: AgentExecResponse = await sandbox.exec(
    'sh',
    { command: 'cat; sort names | tee sorted; exit 3' },
    {
      deadlineMs: 60_000,
      stdin: 'typed\\n',
      filesIn: [{ path: 'names', data: 'b\\na\\n' }],
      filesOut: ['sorted'],
      onOutput: ({ stream, data }) => void said.push(stream, data.toString('utf8')),
    },
  )
  const [file] = response.files ?? []
  report.exit_code = response.exit_code
  report.stdout = outputBytes(response, 'stdout').toString('utf8')
  report.streamed = said.filter((_, i) => i % 2 === 1).join('')
  report.file = file && 'data_b64' in file ? Buffer.from(file.data_b64, 'base64').toString('utf8') : null
  report.verified = response.sandbox_reset_state?.verification_passed

  const abort = new AbortController()
  const stopped = sandbox.exec('sh', { command: 'echo on; sleep 600' }, {
    deadlineMs: 600_000,
    signal: abort.signal,
    onOutput: () => abort.abort(),
  })
  report.aborted = await stopped.catch((error: unknown) => (error instanceof BsmError ? error.code : String(error)))
  // @ts-expect-error A deadline is a number of milliseconds.
  await sandbox.exec('echo', {}, { deadlineMs: 'soon' }).catch(() => undefined)
}
{
  await using sandbox = new AgentSandbox(credentials)
  await sandbox.boot({ image: 'base' })
  report.backend = sandbox.backend
  const call = { tool: 'sh', params: { command: 'sleep 600' }, deadline_ms: 500 }
  const late = await sandbox
    .executeTool({ ...call, command_id: crypto.randomUUID() })
    .catch((error: unknown) => error)
  report.late = late instanceof SandboxToolTimeoutError ? late.code : String(late)
  report.reset = (await sandbox.reset()).verification_passed
}
console.log(JSON.stringify(report))
`

/** A project of somebody else's, with nothing of ours but the package. */
async function project(name: string, install: string): Promise<string> {
  const folder = scratch.path(name)
  mkdirSync(folder)
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name, private: true, type: 'module' }))
  await npm(folder, 'install', '--offline', '--no-audit', '--no-fund', install)
  return folder
}

const npm = (cwd: string, ...args: string[]) =>
  run('npm', args, {
    cwd,
    env: { ...process.env, npm_config_cache: scratch.path('npm-cache') },
    timeout: STEP_MS,
  })

it(
  'packs to what another project installs offline, type-checks against and runs',
  async () => {
    // What `prepack` does, without its look at node_modules, which other tests use.
    await Promise.all([buildClient(), buildCli()])
    await npm(repository, 'pack', '--ignore-scripts', '--pack-destination', scratch.root)
    const tarball = readdirSync(scratch.root).find((file) => file.endsWith('.tgz')) ?? ''
    const folder = await project('packed', scratch.path(tarball))
    const installed = readdirSync(join(folder, 'node_modules')).filter((each) => !each.startsWith('.'))
    expect(installed).toEqual(['brainstorm-sandbox'])

    writeFileSync(join(folder, 'main.ts'), PROGRAM)
    const compilerOptions = {
      ...{ target: 'ES2022', module: 'NodeNext', lib: ['ES2023', 'ESNext.Disposable'] },
      ...{ strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, rootDir: '.' },
      ...{ types: ['node'], typeRoots: [join(repository, 'node_modules/@types')] },
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['main.ts'] }))
    const tsc = join(repository, 'node_modules/typescript/bin/tsc')
    await run(process.execPath, [tsc, '-p', folder], { timeout: STEP_MS }).catch((error: unknown) => {
      throw new Error(
        typeof error === 'object' && error !== null && 'stdout' in error ? String(error.stdout) : '',
      )
    })

    const env = { ...scratch.environment(), TOKEN: token, SOCKET: join(scratch.stateDir, 'agent.sock') }
    const { stdout } = await run(process.execPath, ['main.js'], { cwd: folder, env, timeout: STEP_MS })
    expect(JSON.parse(stdout)).toEqual({
      exit_code: 3,
      stdout: 'typed\na\nb\n',
      streamed: 'typed\na\nb\n',
      file: 'a\nb\n',
      verified: true,
      aborted: 'CANCELLED',
      backend: 'qemu',
      late: 'SANDBOX_TOOL_TIMEOUT',
      reset: true,
    })
    // The same package brings the command.
    const { version } = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
      version: string
    }
    const bsm = join(folder, 'node_modules/.bin/bsm')
    expect((await run(bsm, ['--version'], { env, timeout: STEP_MS })).stdout.trim()).toBe(version)
  },
  4 * STEP_MS,
)

it('can be installed from the checkout itself', async () => {
  await buildClient()
  const folder = await project('linked', repository)
  const program = "import('brainstorm-sandbox/client').then((all) => console.log(typeof all.Sandbox.connect))"
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program], { cwd: folder })
  expect(stdout.trim()).toBe('function')
})
