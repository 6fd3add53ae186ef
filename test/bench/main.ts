import { mkdirSync, writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { format, resolveConfig } from 'prettier'
import { run } from '../../build/run.ts'
import { Preflight } from '../../core/protocol/index.ts'
import { helperBinary } from '../support/helper-binary.ts'
import { guestImage, repository } from '../support/image.ts'
import { FULL, measure, QUICK, type Figures } from './measure.ts'
import { plot } from './plot.ts'
import { isReached, TARGETS } from './targets.ts'

const HELP = `npm run bench -- [--json] [--quick] [--docs] [--out DIR]

Measures boot, reset, exec and idle of the app on this machine, beside what one would do without it.
  --json     prints one object instead of the table; keys carry their unit
  --quick    few samples: to see that it runs, not to quote
  --docs     also writes docs/benchmark.md and its plot
  --out DIR  where bench.json and bench.svg go (default out/bench)`

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    out: { type: 'string', default: join(repository, 'out/bench') },
    help: { type: 'boolean', default: false },
  },
})

/** One machine for every figure, ours and the bare one: the app's default under emulation. */
const MACHINE = { cpus: 1, memoryMib: 512, accelerator: await accelerator() }

/** What the helper would use here, so that the bare QEMU uses the same. */
async function accelerator(): Promise<'kvm' | 'tcg'> {
  const { command, args } = await helperBinary('qemu')
  const preflight = Preflight.parse(JSON.parse(await run(command, [...args, 'preflight'])))
  return preflight.accelerator === 'kvm' ? 'kvm' : 'tcg'
}

function table(figures: Figures): string {
  const rows: [string, string][] = Object.entries(figures).flatMap(([key, value]): [string, string][] =>
    typeof value === 'object'
      ? Object.entries(value).map(([phase, ms]) => [`  ${key.replace('_ms', '')}.${phase}_ms`, ms.toFixed(1)])
      : [[key, typeof value === 'number' ? value.toFixed(value < 100 ? 1 : 0) : value]],
  )
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value.padStart(10)}`).join('\n')
}

function verdicts(figures: Figures): string {
  return TARGETS.map((target) => {
    const mark = isReached(target, figures) ? '✓' : '✗'
    return `${mark} ${target.what}: ${target.ratio(figures).toFixed(2)} (${target.wants} ${target.bound})`
  }).join('\n')
}

function document(measured: { measured_at: string; host: string }, figures: Figures): string {
  const targets = TARGETS.map(
    (target) =>
      `| ${target.what} | ${target.ratio(figures).toFixed(2)} | ${target.wants} ${target.bound} | ${isReached(target, figures) ? 'yes' : 'no'} |`,
  )
  return `# Benchmark

\`npm run bench -- --docs\` wrote this page: one run, on a shared machine, so compare ratios rather than milliseconds. Times under TCG (emulation) say nothing about a Mac.

- measured ${measured.measured_at}
- ${measured.host}
- ${figures.backend}, ${figures.accelerator}; ${MACHINE.cpus} vCPU, ${MACHINE.memoryMib} MiB, image \`base\`

![Ways to a clean VM](images/benchmark.svg)

| ratio | here | target | reached |
| --- | --- | --- | --- |
${targets.join('\n')}

Medians unless the name says otherwise; back to back, means. The Swift helper runs on the stand-in of Virtualization.framework, with the same QEMU behind it. A reset is measured as the agent sees it, with a standby ready; \`_ahead\` phases were done before anyone waited. The bare figures are of QEMU's plain command line on the same image: killed and cold booted, or reset by its own \`savevm\`/\`loadvm\`.

\`\`\`text
${table(figures)}
\`\`\`
`
}

if (values.help) {
  console.log(HELP)
} else {
  const say = (line: string) => console.error(`• ${line}`)
  const { figures, samples } = await measure(guestImage(), MACHINE, values.quick ? QUICK : FULL, say)
  const measured = {
    measured_at: new Date().toISOString(),
    host: `${cpus()[0]?.model ?? 'unknown CPU'}, ${cpus().length} cores, Linux ${release()}`,
    vm: MACHINE,
    ...figures,
  }
  mkdirSync(values.out, { recursive: true })
  writeFileSync(join(values.out, 'bench.json'), `${JSON.stringify(measured, null, 2)}\n`)
  writeFileSync(join(values.out, 'bench.svg'), plot(figures, samples))
  if (values.docs) {
    mkdirSync(join(repository, 'docs/images'), { recursive: true })
    writeFileSync(join(repository, 'docs/images/benchmark.svg'), plot(figures, samples))
    const page = join(repository, 'docs/benchmark.md')
    const style = await resolveConfig(page)
    writeFileSync(page, await format(document(measured, figures), { ...style, filepath: page }))
  }
  if (values.json) console.log(JSON.stringify(measured))
  else {
    console.log(`${measured.host}; ${MACHINE.cpus} vCPU, ${MACHINE.memoryMib} MiB\n`)
    console.log(`${table(figures)}\n\n${verdicts(figures)}\n\nplot: ${join(values.out, 'bench.svg')}`)
  }
}
