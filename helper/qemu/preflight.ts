import { type Finding, type Preflight } from '../../core/protocol/index.ts'
import { probeAccelerator, qemuVersion } from './accelerator.ts'
import { readFileSync } from 'node:fs'
import { launcherPath } from './vm/launcher.ts'
import { qemuBinary } from './vm/qemu-process.ts'

/** Can this machine run a VM, and how? (§1) */
export async function preflight(): Promise<Preflight> {
  const [accelerator, version] = await Promise.all([probeAccelerator(), qemuVersion()])
  const rejections: Finding[] = []
  if (version === null) rejections.push(qemuMissing())
  try {
    launcherPath()
  } catch {
    rejections.push({
      code: 'VIRTUALIZATION_UNAVAILABLE',
      message: 'bsm-launcher, which starts the VM, is missing.',
      remedy: 'Build it: npm run build',
    })
  }
  const warnings: Finding[] = []
  if (accelerator === 'tcg')
    warnings.push({
      code: 'EMULATED',
      message: 'The VM is emulated (TCG): its times say nothing about hardware virtualization.',
      remedy: 'Use an ARM64 host with a working /dev/kvm.',
    })
  return {
    ok: rejections.length === 0,
    macos_version: null,
    arch: process.arch,
    fast_snapshot_supported: true,
    entitlement_present: false,
    backend: 'qemu',
    accelerator,
    host_os: hostOs(version),
    rejections,
    warnings,
  }
}

export const qemuMissing = (): Finding => ({
  code: 'QEMU_MISSING',
  message: `QEMU for ARM64 (${qemuBinary()}) cannot be run.`,
  remedy: 'Install it: apt-get install qemu-system-arm',
})

function hostOs(version: string | null): string {
  const qemu = version === null ? 'no QEMU' : `QEMU ${version}`
  try {
    const name = /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1]
    return `${name ?? process.platform}, ${qemu}`
  } catch {
    return `${process.platform}, ${qemu}`
  }
}
