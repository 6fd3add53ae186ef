import type { Check } from '../check.ts'

/** The guest's clock is set at every resume; a step this large means that something stood still before it. */
const STEP_MS = 60_000

export const clock: Check = {
  id: 'clock',
  title: 'guest clock',
  async run(machine) {
    const step = (await machine.app())?.helper?.guest?.clock_step_ms ?? null
    if (step === null) return null
    const off = `${Math.round(Math.abs(step))} ms`
    if (Math.abs(step) < STEP_MS)
      return { status: 'ok', message: `set at the last resume, was off by ${off}` }
    return {
      status: 'warn',
      message: `was off by ${off} before the last resume set it`,
      remedy: 'expected after the computer slept; otherwise check the host clock',
    }
  },
}
