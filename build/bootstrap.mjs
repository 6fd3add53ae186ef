#!/usr/bin/env node
/**
 * Entry of `npm start`, `npm test` and the other scripts. Runs on a machine that has nothing of ours yet, so it
 * is plain JavaScript without dependencies: it brings the npm packages, then hands over to the TypeScript beside it.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const [verb = 'start', ...rest] = process.argv.slice(2)
const started = performance.now()

/** @param {number} since @returns {string} */
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`

/**
 * Runs a child to its end; an interrupt reaches it through the process group, and we wait for its clean-up.
 * @param {string} command @param {string[]} args @param {(message: any) => void} [onMessage] hears what it tells us
 * @returns {Promise<number>} its exit code
 */
function run(command, args, onMessage) {
  return new Promise((resolve, reject) => {
    const ignore = () => undefined
    process.on('SIGINT', ignore)
    const stdio = ['ignore', 'inherit', 'inherit', ...(onMessage === undefined ? [] : ['ipc'])]
    const child = spawn(command, args, { cwd: root, stdio: /** @type {any} */ (stdio) })
    if (onMessage !== undefined) child.on('message', onMessage)
    const terminate = () => child.kill('SIGTERM')
    process.on('SIGTERM', terminate)
    child.on('error', reject)
    child.on('close', (code, signal) => {
      process.off('SIGINT', ignore)
      process.off('SIGTERM', terminate)
      resolve(code ?? (signal === 'SIGINT' ? 130 : 143))
    })
  })
}

/** `npm ci` when the lock file is not the one that node_modules was made from. */
async function installPackages() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .update(process.version)
    .digest('hex')
  const stamp = join(root, 'node_modules', '.bsm-lock')
  let installed
  try {
    installed = readFileSync(stamp, 'utf8')
  } catch {
    installed = ''
  }
  if (installed === lock) return
  const since = performance.now()
  console.error('• npm packages …')
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  const code = await run(npm, [
    'ci',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    '--foreground-scripts=false',
  ])
  if (code !== 0) {
    console.error(
      '✗ npm packages could not be installed; the lines above say why. Then run the same command again.',
    )
    process.exit(code)
  }
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(stamp, lock)
  console.error(`✓ npm packages (${seconds(since)})`)
}

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(
    `Node ${process.versions.node} is too old: install Node 20.19 or newer, then run the same command.`,
  )
  process.exit(1)
}

await installPackages()
/** @type {string | null} Electron's program, where the app can be opened. */
let electron = null
const setup = await run(
  process.execPath,
  ['--import', 'tsx', join(root, 'build', 'main.ts'), verb, ...rest],
  (message) => (electron = message.electron),
)
if (setup !== 0 || verb !== 'start') process.exit(setup)

console.error(`✓ set-up complete (${seconds(started)})`)
if (electron !== null) {
  console.error('Brainstorm Sandbox is in the menu bar; Ctrl-C here quits it.')
  process.exit(await run(electron, [root]))
}
// The app runs in this very process: one less to keep, and Ctrl-C reaches it first.
process.chdir(root)
process.argv = [
  process.execPath,
  join(root, 'dist', 'bsm.mjs'),
  'up',
  ...rest.filter((argument) => argument !== '--headless'),
]
await import(new URL('../dist/bsm.mjs', import.meta.url).href)
