import type { Check } from '../check.ts'

/** Whether the running app's audit log is whole. */
export const audit: Check = {
  id: 'audit',
  title: 'audit log',
  async run(machine) {
    const verdict = await machine.audit()
    if (verdict === null) return null
    if (verdict.ok) return { status: 'ok', message: `${verdict.entries} entries, the chain is whole` }
    return {
      status: 'fail',
      message: verdict.message,
      remedy: 'keep audit.jsonl as it is, and look at who could write to the state directory',
    }
  },
}
