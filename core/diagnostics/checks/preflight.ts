import { BsmError, type Preflight } from '../../protocol/index.ts'
import type { Check } from '../check.ts'

/** Whether and how this machine can run the VM: the helper's own judgement, as it is at a boot. */
export const preflight: Check = {
  id: 'preflight',
  title: 'virtualization',
  async run(machine) {
    let said: Preflight
    try {
      said = await machine.preflight()
    } catch (error) {
      const { message, nextStep } = BsmError.from(error, 'app')
      return { status: 'fail', message, ...(nextStep === undefined ? {} : { remedy: nextStep }) }
    }
    const findings = said.rejections.length > 0 ? said.rejections : said.warnings
    const status = !said.ok ? 'fail' : findings.length > 0 ? 'warn' : 'ok'
    const how = `${said.backend}, ${said.accelerator} (${said.host_os})`
    if (findings.length === 0) return { status, message: how }
    return {
      status,
      message: `${how}. ${findings.map(({ message }) => message).join(' ')}`,
      remedy: findings.map(({ remedy }) => remedy).join('; '),
    }
  },
}
