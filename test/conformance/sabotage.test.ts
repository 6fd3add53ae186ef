import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { helperBinary, type HelperBinary } from '../support/helper-binary.ts'
import { freshImage } from '../support/image.ts'
import { sabotaged } from '../support/sabotage.ts'
import { checks } from './checks/index.ts'
import { Bench } from './context.ts'

/** A kit that cannot fail proves nothing: each broken helper is found by the check meant for it. */
describe('the kit finds a helper that breaks the contract', () => {
  let honest: HelperBinary
  let bench: Bench
  beforeAll(async () => {
    honest = await helperBinary('qemu')
    bench = new Bench(honest, await freshImage())
  })
  afterAll(() => bench.close())

  const check = (id: string) => {
    const found = checks.find((one) => one.id === id)
    if (!found) throw new Error(`there is no check ${id}`)
    return found
  }

  const sabotages: [string, string, string][] = [
    ['wrong-hash', 'evidence.recompute', 'an evidence hash that is not of its chain'],
    ['swapped-streams', 'exec.streams', 'stdout and stderr confused'],
    ['lost-event', 'exec.live-equal', 'live output that lacks a stream'],
    ['no-live-output', 'evidence.event-seq', 'no live output at all'],
    ['waiting-status', 'interleaving.status', 'a status that waits for an exec'],
    ['lenient-verify', 'verify.wrong-fs', 'a verify that agrees with anything'],
    ['untold-cut', 'exec.cap-over', 'a cut that is not told'],
    ['double-response', 'responses.exec', 'two responses to one request'],
    ['missing-field', 'responses.status', 'a status without its channels'],
    ['always-zero', 'exec.exit-42', 'every exit code zero'],
    ['silent-errors', 'ndjson.garbage', 'garbage passed over in silence'],
    ['same-epoch', 'reset.epoch-rises', 'an epoch that stands still'],
    ['idle-reset', 'reset.epoch-rises', 'a reset that does nothing, seen by its epoch'],
    ['idle-reset', 'reset.old-ended', 'a reset that does nothing, seen by its VM'],
    ['idle-reset', 'reset.time', 'a reset that does nothing, seen by its time'],
    ['late-boot-result', 'boot.first-line', 'something before boot_result'],
    ['chatty', 'boot.logs-on-stderr', 'words for people on stdout'],
    ['forgiving-cancel', 'responses.cancel', 'a cancel that claims to have cancelled'],
    ['orphan', 'boot.running', 'a process left behind'],
    ['litter', 'boot.running', 'a file left behind'],
    ['wrong-exit', 'ending.shutdown', 'another exit code'],
  ]
  for (const [sabotage, id, what] of sabotages)
    it(`${what} (${id})`, async () => {
      const broken = new Bench(sabotaged(sabotage, honest), bench)
      const verdict = await broken.run(check(id)).then(
        () => 'passed',
        () => 'failed',
      )
      await broken.close().catch(() => undefined) // what it breached was looked for above
      expect(verdict).toBe('failed')
      await bench.run(check(id)) // the honest one passes the same check
    }, 150_000)
})
