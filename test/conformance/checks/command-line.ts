import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { group } from '../check.ts'
import { sentence } from '../expect.ts'

const check = group('cli', '§1', 'none')

const oneShot = (overrides: Record<string, string> = {}) =>
  Object.entries({
    '--command-id': randomUUID(),
    '--tool': 'echo',
    '--params': '{"text":"hi"}',
    '--deadline-ms': '5000',
    ...overrides,
  }).flat()

export const commandLineChecks = [
  check('no-command', 'without a command says how to use it and fails', async (context) => {
    const { code, stdout, stderr } = await context.command([])
    assert.notEqual(code, 0)
    assert.equal(stdout, '')
    for (const command of ['preflight', 'boot', 'exec', 'save-state', 'restore-state'])
      assert.match(stderr, new RegExp(`\\b${command}\\b`))
  }),
  check('unknown-command', 'refuses an unknown command by name', async (context) => {
    const { code, stdout, stderr } = await context.command(['frobnicate'])
    assert.notEqual(code, 0)
    assert.equal(stdout, '')
    assert.match(stderr, /frobnicate/)
  }),
  check('unknown-option', 'refuses an unknown option by name', async (context) => {
    const { code, stderr } = await context.command(['preflight', '--frobnicate'])
    assert.notEqual(code, 0)
    assert.match(stderr, /frobnicate/)
  }),
  check(
    'boot-unknown-option',
    'boot refuses an unknown option by name and starts nothing',
    async (context) => {
      const { code, stderr } = await context.command(['boot', '--frobnicate', '1'])
      assert.notEqual(code, 0)
      assert.match(stderr, /frobnicate/)
    },
  ),
  check('help', 'names all commands with --help and ends with 0', async (context) => {
    const { code, stdout, stderr } = await context.command(['--help'])
    assert.equal(code, 0)
    for (const command of ['preflight', 'boot', 'exec', 'save-state', 'restore-state'])
      assert.match(stdout + stderr, new RegExp(`\\b${command}\\b`))
  }),
  check('exec-no-helper', 'exec without a running helper ends with 67 and a sentence', async (context) => {
    const { code, stdout, stderr } = await context.command(['exec', ...oneShot()])
    assert.equal(code, 67)
    assert.equal(stdout.includes('exit_code'), false)
    sentence(stderr)
  }),
  check('save-no-helper', 'save-state without a running helper fails with a sentence', async (context) => {
    const scratch = context.scratch()
    const { code, stderr } = await context.command(['save-state', '--out', scratch.path('saved')], scratch)
    assert.ok(code === 66 || code === 67, `exit ${code}`)
    sentence(stderr)
  }),
  check(
    'restore-no-helper',
    'restore-state without a running helper fails with a sentence',
    async (context) => {
      const scratch = context.scratch()
      const { code, stderr } = await context.command(
        ['restore-state', '--from', scratch.path('saved')],
        scratch,
      )
      assert.ok(code === 66 || code === 67, `exit ${code}`)
      sentence(stderr)
    },
  ),
  check('exec-bad-json', 'exec with params that are not JSON fails with a sentence', async (context) => {
    const { code, stderr } = await context.command(['exec', ...oneShot({ '--params': '{oops' })])
    assert.notEqual(code, 0)
    assert.match(stderr, /params/i)
  }),
  check('exec-params-array', 'exec with params that are no object fails with a sentence', async (context) => {
    const { code, stderr } = await context.command(['exec', ...oneShot({ '--params': '[1]' })])
    assert.notEqual(code, 0)
    assert.match(stderr, /params/i)
  }),
  check('exec-bad-uuid', 'exec with a command id that is no UUID fails with a sentence', async (context) => {
    const { code, stderr } = await context.command(['exec', ...oneShot({ '--command-id': 'seven' })])
    assert.notEqual(code, 0)
    assert.match(stderr, /command.?id|uuid/i)
  }),
  check('exec-missing-tool', 'exec without --tool fails and names the option', async (context) => {
    const { code, stderr } = await context.command([
      ...['exec', '--command-id', randomUUID()],
      ...['--params', '{}', '--deadline-ms', '5000'],
    ])
    assert.notEqual(code, 0)
    assert.match(stderr, /tool/)
  }),
  check('exec-bad-deadline', 'exec with a deadline out of bounds fails with a sentence', async (context) => {
    const { code, stderr } = await context.command(['exec', ...oneShot({ '--deadline-ms': '5' })])
    assert.notEqual(code, 0)
    assert.match(stderr, /deadline/i)
  }),
  check('save-relative', 'save-state to a relative path is refused', async (context) => {
    const { code, stderr } = await context.command(['save-state', '--out', 'here/saved'])
    assert.notEqual(code, 0)
    assert.match(stderr, /absolute/i)
  }),
]
