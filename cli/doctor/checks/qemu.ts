import type { Check } from '../check.ts'

const MINIMUM_MAJOR = 7

export const qemu: Check = {
  id: 'qemu',
  title: 'QEMU',
  async run({ platform, run }) {
    if (platform === 'darwin')
      return { status: 'ok', message: 'not needed: macOS brings Virtualization.framework' }
    const remedy = 'apt-get install -y --no-install-recommends qemu-system-arm'
    let text: string
    try {
      text = await run('qemu-system-aarch64', ['--version'])
    } catch {
      return { status: 'fail', message: 'qemu-system-aarch64 cannot be run', remedy }
    }
    const version = /version ((\d+)\.[\d.]*)/.exec(text)
    if (version === null)
      return {
        status: 'warn',
        message: `its version cannot be read from ${JSON.stringify(text.slice(0, 80))}`,
      }
    if (Number(version[2]) < MINIMUM_MAJOR)
      return {
        status: 'fail',
        message: `QEMU ${MINIMUM_MAJOR} or newer is needed, this is ${version[1]}`,
        remedy,
      }
    return { status: 'ok', message: `QEMU ${version[1]}` }
  },
}
