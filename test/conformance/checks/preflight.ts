import assert from 'node:assert/strict'
import { Preflight } from '../../../core/protocol/index.ts'
import { mismatch } from '../../support/helper.ts'
import { group } from '../check.ts'
import type { Context } from '../context.ts'
import { REQUIRED, hasKeys, sentence } from '../expect.ts'

const check = group('preflight', '§1', 'none')

async function preflight(context: Context, env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await context.command(['preflight'], undefined, env)
  const lines = stdout.split('\n')
  assert.equal(
    lines.length,
    2,
    `one line and its newline, got ${JSON.stringify(stdout.slice(0, 500))}\n${stderr}`,
  )
  assert.equal(lines[1], '')
  return {
    code,
    report: Preflight.parse(JSON.parse(lines[0] ?? '')),
    raw: JSON.parse(lines[0] ?? '') as unknown,
  }
}

export const preflightChecks = [
  check('one-line', 'prints exactly one JSON line and ends', async (context) => {
    const { code } = await preflight(context)
    assert.ok(code === 0 || code === 64, `exit ${code}`)
  }),
  check('schema', 'prints what the schema says', async (context) => {
    const { raw } = await preflight(context)
    assert.equal(mismatch(Preflight, raw), undefined)
  }),
  check('fixed-fields', 'names every field of the public contract', async (context) => {
    hasKeys((await preflight(context)).raw, ...REQUIRED.preflight)
  }),
  check('our-fields', 'names backend, accelerator, host, rejections and warnings', async (context) => {
    hasKeys((await preflight(context)).raw, ...REQUIRED.preflight_ours)
  }),
  check('exit-follows-ok', 'ends with 0 when usable and 64 when not', async (context) => {
    const { code, report } = await preflight(context)
    assert.equal(code, report.ok ? 0 : 64)
    assert.equal(report.ok, report.rejections.length === 0)
  }),
  check('macos-version', 'gives macos_version on macOS alone', async (context) => {
    const { report } = await preflight(context)
    assert.equal(report.macos_version !== null, process.platform === 'darwin')
  }),
  check('accelerator', 'names the accelerator that its backend can have', async (context) => {
    const { report } = await preflight(context)
    assert.ok((report.backend === 'vz' ? ['vz', 'tcg', 'kvm'] : ['kvm', 'tcg']).includes(report.accelerator))
  }),
  check(
    'emulated',
    'warns EMULATED exactly when nothing accelerates the guest',
    async (context) => {
      const { report } = await preflight(context)
      assert.equal(
        report.warnings.some((warning) => warning.code === 'EMULATED'),
        report.accelerator === 'tcg',
      )
    },
    { backend: 'qemu' },
  ),
  check('findings', 'says of every finding what it is and what mends it', async (context) => {
    const { report } = await preflight(context)
    for (const finding of [...report.rejections, ...report.warnings]) {
      assert.match(finding.code, /^[A-Z_]+$/)
      sentence(finding.message)
      sentence(finding.remedy)
    }
  }),
  check(
    'fast-snapshot',
    'supports the fast snapshot under QEMU',
    async (context) => assert.equal((await preflight(context)).report.fast_snapshot_supported, true),
    { backend: 'qemu' },
  ),
  check(
    'qemu-missing',
    'rejects with QEMU_MISSING and exit 64 where there is no QEMU',
    async (context) => {
      const { code, report } = await preflight(context, {
        PATH: '/nonexistent',
        BSM_QEMU: '/nonexistent/qemu-system-aarch64',
      })
      assert.equal(code, 64)
      assert.equal(report.ok, false)
      const finding = report.rejections.find((rejection) => rejection.code === 'QEMU_MISSING')
      assert.ok(finding, JSON.stringify(report.rejections))
      sentence(finding.remedy)
    },
    { backend: 'qemu' },
  ),
  check('leaves-nothing', 'writes no file', async (context) => {
    const scratch = context.scratch()
    await context.command(['preflight'], scratch)
    assert.deepEqual(
      scratch.list().filter(({ kind }) => kind !== 'directory'),
      [],
    )
  }),
]
