import type { Item } from '../gates/report.ts'
import { Broken, must } from '../gates/broken.ts'
import { until, within } from '../support/deadline.ts'
import { isAlive, type ProcessId } from '../support/processes.ts'
import type { Which } from '../support/helper-binary.ts'
import { afterwards, dispatchWorks } from './afterwards.ts'
import { forgetAudit, isCut } from './injuries.ts'
import { Missed, type Moment, type Owed } from './moments.ts'
import { promiseOf, type Hurt } from './plan.ts'
import { sentence } from './sentence.ts'
import { NotReady, type World } from './world.ts'

/** A moment that was over before we saw it is waited for again, this often. */
const TRIES = 8
/** Restarts of the helper that its budget allows in a while; an app that was started anew has all of them. */
const ROUNDS_AN_APP = 4

type Returned = 'by itself' | 'when started' | 'with the next app'

const isEnding = ({ id }: Moment): boolean => id === 'told' || id === 'shutdown'

/** Brings the world to where a moment begins. */
async function prepare(world: World, { from }: Moment): Promise<void> {
  if (from === 'rest') {
    await world.start()
    await world.rest()
    return
  }
  if (from === 'golden' && world.goldens.length === 0) {
    // One that could not keep its snapshot does not try again.
    await world.stop()
    await world.start()
    await world.kept()
  }
  await world.stop()
  if (from === 'nothing') world.forgetGoldens()
}

/**
 * What the product still owed is a result with a verified reset and whole evidence, or an error that says why not. With
 * an audit log that was cut, evidence has nothing to be compared with, and its verdict says that.
 */
export async function answered(world: World, owed: Owed, isAuditCut = false): Promise<void> {
  const answer = await owed.catch((error: unknown) => ({ error: error as { message: string } }))
  if (answer === undefined) return
  if (answer.error !== undefined) return sentence(answer.error.message, 'the error of what ran')
  if (!('sandbox_reset_state' in answer)) return
  const { sandbox_reset_state: reset, evidence_path, command_id } = answer
  if (reset?.error !== undefined) sentence(reset.error.message, 'the error of the reset behind it')
  else
    must(
      reset?.verification_passed === true,
      `what ran has no error, and no verified reset: ${JSON.stringify(reset)}`,
    )
  if (typeof evidence_path !== 'string' || isCut(world, command_id)) return
  const verdict = await (await world.control()).verifyEvidence(command_id)
  must(
    verdict.ok || (isAuditCut && /audit log/.test(verdict.message)),
    `what ran has no error, and its evidence does not verify: ${JSON.stringify(verdict)}`,
  )
}

/** Reaches the moment and strikes; gives what was hit and what is still owed. */
async function strike(world: World, { moment, victim, injury }: Hurt) {
  for (let left = TRIES; ; left -= 1) {
    try {
      await prepare(world, moment)
      const before = victim?.find(world) ?? null
      const reached = await moment.reach(world)
      const owed = reached?.owed ?? null
      owed?.catch(() => undefined)
      const found = moment.isLast ? before : (victim?.find(world) ?? null)
      if (injury.kind === 'disk') await injury.inflict(world)
      else if (found === null) throw new Missed('it was not there any more')
      else await injury.inflict(found)
      return { hit: found, owed }
    } catch (error) {
      if (!(error instanceof Missed) || left <= 1) throw error
      if (isEnding(moment)) await world.ended()
      await back(world, false)
    }
  }
}

/** Ready again, and how. */
async function back(world: World, mustReturnByItself: boolean): Promise<Returned> {
  let returned: Returned = 'by itself'
  for (;;) {
    try {
      if (!world.isRunning) {
        returned = 'with the next app'
        await world.start()
      }
      await world.rest()
      must(
        returned === 'by itself' || !mustReturnByItself,
        `it did not become ready by itself, but ${returned}`,
      )
      return returned
    } catch (error) {
      if (!(error instanceof NotReady) || returned !== 'by itself' || !world.isRunning) throw error
      const control = await world.control()
      const { state, degraded, resets } = await control.status()
      must(
        degraded === null,
        () =>
          `${state} by a mere fault: ${degraded?.code} ${degraded?.message}\n${JSON.stringify(resets[0])}`,
      )
      returned = 'when started'
      await control.up()
    }
  }
}

/** An app that ended says why, unless it was killed or told to. */
export async function endedWell(world: World, hurt: Hurt): Promise<void> {
  await world.nothingLeft()
  if (hurt.victim?.id === 'app' && world.exit === null) return
  if (isEnding(hurt.moment))
    must(world.exit === 0, `the app ended with ${world.exit} when it was told to end`)
  else {
    must(typeof world.exit === 'number' && world.exit > 0, `the app ended with ${world.exit}`)
    sentence(world.lastWords, 'what the app said at its end')
  }
  if (hurt.victim === null) return // where nothing can be removed, the next start does it
  const left = world.scratch.appLeftovers()
  must(left.length === 0, `the app left behind: ${left.join(', ')}`)
}

/** Until the product itself has ended what we stopped for good. */
export async function found(
  world: World,
  hit: ProcessId,
  { foundByUse, budgetMs }: Pick<Hurt, 'foundByUse' | 'budgetMs'>,
): Promise<void> {
  if (foundByUse)
    await answered(world, (await world.control()).exec('echo', { text: 'x' }, { deadlineMs: 1_000 }))
  await until(budgetMs, 'the end of what was stopped', () => !isAlive(hit))
}

async function startAgain(world: World): Promise<void> {
  await world.stop()
  await world.start()
  await world.rest()
}

/** One moment, one injury, and everything that must hold then. */
export async function round(world: World, hurt: Hurt): Promise<Returned> {
  const { moment, victim, injury } = hurt
  const { hit, owed } = await strike(world, hurt)
  if (moment.id === 'between') await world.start()
  const isSpoilt = injury.kind === 'disk' && injury.spoilsAudit === true
  if (owed !== null) await answered(world, owed, isSpoilt)
  if (isEnding(moment) || (victim?.id === 'app' && injury.id === 'kill')) await world.ended()
  if (hit !== null && injury.id === 'stop') await found(world, hit, hurt)
  if ((await world.settled(hurt.budgetMs)) === 'ended') await endedWell(world, hurt)
  if (injury.kind === 'disk') await injury.heal?.(world)
  const isBelow = victim !== null && victim.id !== 'app'
  const returned = await back(world, isBelow && moment.phase !== 'Shutdown' && moment.phase !== 'Boot')
  if (hurt.sweptByStart) {
    await dispatchWorks(world)
    await startAgain(world)
  }
  await afterwards(world, { spoilsAudit: isSpoilt })
  if (injury.kind === 'disk' && injury.said !== undefined) {
    if (injury.needsRestart && moment.id !== 'between') {
      await startAgain(world)
    }
    await injury.said(world)
    await afterwards(world, { spoilsAudit: isSpoilt })
    await world.kept()
  }
  if (isSpoilt) {
    await world.stop()
    forgetAudit(world)
    // Another one begins with the next start, and the next round may cut it.
    await world.start()
    await world.rest()
  }
  return returned
}

/** Why this cannot be done here, or null. */
export function impossible({ victim, injury }: Hurt, which: Which): string | null {
  if (injury.id === 'truncate-device-state' && which === 'vz')
    return 'there it is part of one file with the RAM'
  if (injury.id === 'truncate-clone' && which === 'qemu') return 'there it is sealed memory, and no file'
  return victim === null ? (injury.kind === 'disk' ? injury.missing() : null) : victim.missing()
}

const timesOf = (all: readonly Returned[]): string =>
  [...new Set(all)].map((one) => `${one} ${all.filter((other) => other === one).length}`).join(', ')

/** Rounds of one injury, to the first that fails. Rejects only when `cutOff` does. */
export async function run(world: World, hurt: Hurt, rounds: number, cutOff: Promise<never>): Promise<Item> {
  const since = performance.now()
  const returned: Returned[] = []
  const item = (outcome: Item['outcome'], reason: string): Item => ({
    id: hurt.id,
    group: hurt.moment.phase,
    promise: promiseOf(hurt),
    outcome,
    reason: reason.slice(0, 3_000),
    ms: performance.now() - since,
    count: returned.length + (outcome === 'broken' ? 1 : 0),
  })
  try {
    while (returned.length < rounds) {
      if (returned.length % ROUNDS_AN_APP === 0) await Promise.race([world.stop(), cutOff])
      const one = within(hurt.budgetMs, `round ${returned.length + 1}`, round(world, hurt))
      returned.push(await Promise.race([one, cutOff]))
    }
    await Promise.race([world.stop(), cutOff])
    return item('held', `ready again ${timesOf(returned)}`)
  } catch (error) {
    if (await isOff(cutOff)) throw error
    if (error instanceof Missed)
      return item('not run', `the moment was missed ${TRIES} times: ${error.message}`)
    const said =
      error instanceof Broken ? error.message : error instanceof Error ? error.message : String(error)
    return item(
      'broken',
      `round ${returned.length + 1} of ${rounds}: ${said}\nthe app's last lines:\n${world.lastWords}`,
    )
  }
}

const isOff = (cutOff: Promise<never>): Promise<boolean> =>
  Promise.race([cutOff, Promise.resolve(false)]).catch(() => true)
