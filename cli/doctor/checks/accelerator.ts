import { access, constants } from 'node:fs/promises'
import type { Check } from '../check.ts'

export const accelerator: Check = {
  id: 'accelerator',
  title: 'accelerator',
  async run({ platform, arch }) {
    if (platform === 'darwin')
      return arch === 'arm64'
        ? { status: 'ok', message: 'Virtualization.framework on Apple silicon' }
        : {
            status: 'fail',
            message: 'Intel Macs cannot run the ARM64 guest',
            remedy: 'use a Mac with Apple silicon',
          }
    if (arch !== 'arm64')
      return { status: 'warn', message: `TCG: an ${arch} host must emulate the ARM64 guest, which is slower` }
    try {
      await access('/dev/kvm', constants.R_OK | constants.W_OK)
      return { status: 'ok', message: 'KVM (/dev/kvm is ours to use; the helper probes it at boot)' }
    } catch {
      return {
        status: 'warn',
        message: 'TCG: /dev/kvm is missing or not ours, so the guest is emulated, which is slower',
        remedy: 'enable virtualization, and add this user to the group of /dev/kvm: usermod -aG kvm $USER',
      }
    }
  },
}
