import { parseArgs } from 'node:util'
import { helperBinary } from '../support/helper-binary.ts'
import { freshImage } from '../support/image.ts'
import { checks } from './checks/index.ts'
import { Bench } from './context.ts'

const USAGE = `conformance --helper qemu|vz|PATH [--backend qemu|vz] [--image RECIPE] [--only PATTERN] [--json] [--list]

Drives a helper through the wire protocol, black box. PATTERN is a regular expression on ids and titles.
`

type Outcome = { id: string; section: string; title: string; ok: boolean; ms: number; error?: string }

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      helper: { type: 'string', default: 'qemu' },
      backend: { type: 'string' },
      image: { type: 'string', default: 'base' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(USAGE)
    return 0
  }
  const pattern = new RegExp(values.only ?? '', 'i')
  const backend = values.backend ?? (/(^|[^a-z])vz/.test(values.helper) ? 'vz' : 'qemu')
  const chosen = checks
    .filter((check) => check.backend === undefined || check.backend === backend)
    .filter((check) => pattern.test(check.id) || pattern.test(check.title))
  if (values.list) {
    for (const { id, section, needs, title } of chosen) console.log(`${section} ${id} [${needs}] ${title}`)
    return 0
  }
  const bench = new Bench(await helperBinary(values.helper), await freshImage(values.image))
  const outcomes: Outcome[] = []
  const since = performance.now()
  let stopped = false
  process.once('SIGINT', () => (stopped = true))
  for (const check of chosen) {
    if (stopped) break
    const started = performance.now()
    const error = await bench.run(check).then(
      () => undefined,
      (thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown)),
    )
    const ms = Math.round(performance.now() - started)
    const { id, section, title } = check
    outcomes.push({
      id,
      section,
      title,
      ok: error === undefined,
      ms,
      ...(error === undefined ? {} : { error }),
    })
    if (!values.json) {
      console.log(`${error === undefined ? '✓' : '✗'} ${section} ${id}: ${title} (${ms} ms)`)
      if (error !== undefined) console.log(error.replace(/^/gm, '      '))
    }
  }
  await bench.close()
  const passed = outcomes.filter((outcome) => outcome.ok).length
  const seconds = (performance.now() - since) / 1000
  if (values.json)
    console.log(JSON.stringify({ helper: values.helper, passed, failed: outcomes.length - passed, outcomes }))
  else console.log(`${passed} passed, ${outcomes.length - passed} failed in ${seconds.toFixed(1)} s`)
  return !stopped && passed === outcomes.length && passed > 0 ? 0 : 1
}

process.exitCode = await main()
