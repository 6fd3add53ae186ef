import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { randomUUID } from 'node:crypto'
import { Sandbox } from '../../client/index.ts'
import { AppProcess, standbyReady, whenApp } from '../support/app.ts'
import { guestImage, repository } from '../support/image.ts'
import { Scratch } from '../support/scratch.ts'
import { median, p95, repeat } from './stats.ts'

/** What two agents and a person at one VM cost each other; ours to report, for no test to depend on. */

const HELP = `npm run bench:agents -- [--json] [--quick] [--out DIR]

Measures, with one app and one VM: how soon a status is answered while nothing runs, while an exec is wedged, while
one floods; and how long an agent waits behind another that has queued many.`

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    out: { type: 'string', default: join(repository, 'out/bench') },
    help: { type: 'boolean', default: false },
  },
})

/** The bar of the issue, for the one figure that has one. */
const STATUS_BAR_MS = 50

type Spread = { p50_ms: number; p95_ms: number; max_ms: number }

const spread = (sample: number[]): Spread => ({
  p50_ms: median(sample),
  p95_ms: p95(sample),
  max_ms: Math.max(...sample),
})

const WEDGED = 'trap "" TERM INT HUP; while :; do :; done'

async function measure(count: number) {
  const scratch = new Scratch('bench')
  const app = await AppProcess.start(scratch, guestImage())
  try {
    await app.ready()
    await using person = await app.control()
    const agent = async (client: string) =>
      Sandbox.connect({
        token: await person.addClient(client),
        client,
        socketPath: join(scratch.stateDir, 'agent.sock'),
      })
    await using ann = await agent('ann')
    await using bob = await agent('bob')
    const { helper } = await standbyReady(person)
    const statuses = async () => spread(await repeat(count, () => bob.status()))

    console.error('• status while nothing runs')
    const idle = await statuses()

    const during = async (command: string) => {
      const commandId = randomUUID()
      const run = ann.exec('sh', { command }, { commandId, deadlineMs: 600_000 })
      await whenApp(person, 'its start', ({ dispatches }) =>
        dispatches.some(({ command_id, state }) => command_id === commandId && state === 'running'),
      )
      const sample = await statuses()
      await ann.cancel(commandId)
      await run
      await standbyReady(person)
      return sample
    }
    console.error('• status while an exec is wedged')
    const wedged = await during(WEDGED)
    console.error('• status while one floods')
    const flooded = await during('yes flood')

    console.error('• a turn behind one that has queued many')
    const alone = await repeat(5, async () => {
      await standbyReady(person)
      await bob.exec('echo', { text: 'x' })
    })
    const many = Array.from({ length: 8 }, () => ann.exec('echo', { text: 'x' }))
    await whenApp(person, 'a queue', ({ queue_length }) => queue_length >= 4)
    const [behind = Number.NaN] = await repeat(1, () => bob.exec('echo', { text: 'x' }))
    await Promise.all(many)

    return {
      backend: helper?.backend ?? 'none',
      accelerator: helper?.accelerator ?? 'none',
      status_idle: idle,
      status_wedged: wedged,
      status_flooded: flooded,
      turn_alone_ms: median(alone),
      turn_behind_eight_ms: behind,
    }
  } finally {
    await app.dispose()
    scratch.remove()
  }
}

if (values.help) console.log(HELP)
else {
  const figures = {
    measured_at: new Date().toISOString(),
    host: `${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores`,
    ...(await measure(values.quick ? 20 : 200)),
  }
  mkdirSync(values.out, { recursive: true })
  writeFileSync(join(values.out, 'agents.json'), `${JSON.stringify(figures, null, 2)}\n`)
  if (values.json) console.log(JSON.stringify(figures))
  else {
    console.log(`${figures.host}; ${figures.backend}, ${figures.accelerator}`)
    const of = ({ p50_ms, p95_ms, max_ms }: Spread) =>
      `p50 ${p50_ms.toFixed(1)} ms, p95 ${p95_ms.toFixed(1)} ms, max ${max_ms.toFixed(1)} ms`
    console.log(`status, idle      ${of(figures.status_idle)}`)
    const mark = figures.status_wedged.p95_ms <= STATUS_BAR_MS ? '✓' : '✗'
    console.log(`status, wedged    ${of(figures.status_wedged)}  ${mark} p95 at most ${STATUS_BAR_MS} ms`)
    console.log(`status, flooded   ${of(figures.status_flooded)}`)
    console.log(
      `a turn alone ${figures.turn_alone_ms.toFixed(0)} ms, behind eight ${figures.turn_behind_eight_ms.toFixed(0)} ms`,
    )
  }
}
