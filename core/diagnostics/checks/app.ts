import type { Check } from '../check.ts'

export const app: Check = {
  id: 'app',
  title: 'app',
  async run(machine) {
    const snapshot = await machine.app()
    if (snapshot === null)
      return { status: 'warn', message: 'no app is running', remedy: 'start it with npm start or bsm up' }
    const vm = snapshot.helper === null ? '' : ` (${snapshot.helper.backend}, ${snapshot.helper.accelerator})`
    if (snapshot.state === 'degraded')
      return {
        status: 'fail',
        message: `degraded: ${snapshot.degraded?.message ?? snapshot.message}`,
        remedy: 'look at it, then bsm recover --reason TEXT',
      }
    if (snapshot.state === 'failed')
      return {
        status: 'fail',
        message: snapshot.error?.message ?? snapshot.message,
        remedy: snapshot.error?.next_step ?? 'bsm up',
      }
    return { status: 'ok', message: `${snapshot.state}${vm}: ${snapshot.message}` }
  },
}
