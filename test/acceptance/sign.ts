import assert from 'node:assert/strict'
import { copyFileSync } from 'node:fs'
import { Preflight } from '../../core/protocol/index.ts'
import { system, type Acceptance } from './acceptance.ts'
import { NotHere, type Facts, type Step } from './steps.ts'

const ENTITLEMENT = 'com.apple.security.virtualization'

const preflightOf = (on: Acceptance, env: Record<string, string> = {}, program?: string) => {
  const { code, stdout } = on.command(['preflight'], env, program)
  return { code, report: Preflight.parse(JSON.parse(stdout)) }
}

const codes = (findings: readonly { code: string }[]) => findings.map(({ code }) => code).join(', ') || 'none'

async function signature(on: Acceptance): Promise<Facts> {
  if (on.options.standIn) throw new NotHere('Code signing is macOS’s.')
  const path = on.binary.command
  system('codesign', '--verify', '--strict', path)
  const entitlements = system('codesign', '-d', '--entitlements', '-', '--xml', path)
  assert.ok(entitlements.includes(ENTITLEMENT), `the signature does not carry ${ENTITLEMENT}`)
  const architectures = system('lipo', '-archs', path)
  assert.equal(architectures, 'arm64')
  const details = system('codesign', '-d', '--verbose=2', path)
  return {
    signature: /^Signature=adhoc$/m.test(details) ? 'ad hoc' : 'identity',
    architectures,
    minimum_macos: /minos (\S+)/.exec(system('vtool', '-show-build', path))?.[1] ?? 'unknown',
  }
}

async function preflight(on: Acceptance): Promise<Facts> {
  const { code, report } = preflightOf(on)
  assert.equal(report.backend, 'vz')
  assert.equal(code, report.ok ? 0 : 64)
  assert.ok(report.ok, `this machine cannot run the VM: ${codes(report.rejections)}`)
  if (!on.options.standIn) {
    assert.equal(report.accelerator, 'vz')
    assert.equal(report.arch, 'arm64')
    assert.ok(report.entitlement_present)
    assert.equal(report.fast_snapshot_supported, Number(report.macos_version?.split('.')[0]) >= 14)
  }
  return {
    host_os: report.host_os,
    accelerator: report.accelerator,
    fast_snapshot_supported: report.fast_snapshot_supported,
    warnings: codes(report.warnings),
  }
}

/** A copy without the entitlement, as a download that lost its signature is. */
async function unentitled(on: Acceptance): Promise<Facts> {
  if (on.options.standIn) {
    const helper = on.start(on.scratch(), { env: on.fault('entitlement-missing') })
    const result = await helper.bootResult()
    assert.match(result.error?.message ?? '', /entitlement/)
    assert.equal((await helper.waitForExit()).code, 66)
    return { exit: 66, said: result.error?.message ?? '' }
  }
  const copy = on.golden.path('unentitled')
  copyFileSync(on.binary.command, copy)
  system('codesign', '--force', '--sign', '-', copy)
  const { code, report } = preflightOf(on, {}, copy)
  assert.equal(code, 64)
  assert.ok(
    report.rejections.some((one) => one.code === 'ENTITLEMENT_MISSING'),
    codes(report.rejections),
  )
  return { exit: 64, rejections: codes(report.rejections) }
}

export const signingSteps: Step[] = [
  {
    id: 'signature',
    title: 'The helper is signed, arm64 alone, and carries its entitlement',
    run: signature,
  },
  { id: 'preflight', title: 'Preflight takes this machine', run: preflight },
  { id: 'unentitled', title: 'A helper without its entitlement says so', run: unentitled },
]
