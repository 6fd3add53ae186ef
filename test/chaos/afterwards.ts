import { must } from '../gates/broken.ts'
import { DeadlineError, until } from '../support/deadline.ts'
import { connectedWith } from '../support/processes.ts'
import { leaked, programsOf } from './remains.ts'
import type { World } from './world.ts'

/** Every process of the machine is looked at each time. */
const LOOK_EVERY_MS = 200
/** Snapshots that were set aside for a look; the product keeps two. */
const SET_ASIDE = /^state\/golden\/#\.(corrupt|incompatible)-#\//

/** What must hold once an injury is over: the app at rest works, and nothing is left of what was hurt. */
export async function afterwards(world: World, { spoilsAudit = false } = {}): Promise<void> {
  await dispatchWorks(world)
  await world.rest()
  if (!spoilsAudit) await auditVerifies(world)
  await noProcessMore(world)
  await noFileMore(world)
}

export async function dispatchWorks(world: World): Promise<void> {
  const text = `after ${performance.now()}`
  const control = await world.control()
  const response = await control.exec('echo', { text })
  const { stdout, exit_code, error, sandbox_reset_state: reset } = response
  must(
    error === undefined && exit_code === 0 && stdout.trimEnd() === text,
    `a dispatch does not work: exit code ${exit_code}, ${JSON.stringify(error ?? stdout)}`,
  )
  must(reset?.verification_passed === true, `its reset is not verified: ${JSON.stringify(reset)}`)
}

export async function auditVerifies(world: World): Promise<void> {
  const verdict = await (await world.control()).verifyAudit()
  must(verdict.ok, `the audit log does not verify: ${verdict.message}`)
}

/** The programs of an unharmed app, one for one, and nothing beside them. */
export async function noProcessMore(world: World, ms = world.settleMs): Promise<void> {
  const { scratch, unharmed } = world
  let seen = ''
  await settle(
    ms,
    () => {
      const own = world.processes
      const strangers = connectedWith(scratch.marker, scratch.root).filter(
        ({ pid }) => !own.some((one) => one.pid === pid),
      )
      const programs = programsOf(own)
      seen = [
        ...strangers.map(({ pid, command }) => `orphan ${pid} ${command}`),
        ...(strangers.length === 0 ? [`the app runs ${programs.join(', ')}`] : []),
      ].join('; ')
      return strangers.length === 0 && programs.join() === unharmed?.programs.join()
    },
    () => `processes are not as before (${unharmed?.programs.join(', ')}): ${seen}`,
  )
}

export async function noFileMore(world: World, ms = world.settleMs): Promise<void> {
  let left: string[] = []
  await settle(
    ms,
    () => {
      left = leaked(world.scratch, world.unharmed?.files ?? new Map(), SET_ASIDE)
      return left.length === 0
    },
    () => `files were left behind: ${left.join(', ')}`,
  )
}

/** Waits for what ends by itself, and then says what did not. */
async function settle(ms: number, holds: () => boolean, otherwise: () => string): Promise<void> {
  await until(ms, 'the end of what is over', holds, LOOK_EVERY_MS).catch((error: unknown) => {
    if (!(error instanceof DeadlineError)) throw error
    must(false, otherwise())
  })
}
