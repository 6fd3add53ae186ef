import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { runForCode } from '../../build/run.ts'
import { helperBinary } from '../support/helper-binary.ts'
import { guestImage, imageIn, repository } from '../support/image.ts'
import { Acceptance, machine } from './acceptance.ts'
import { drillSteps } from './drills.ts'
import { machineSteps } from './machines.ts'
import { count, markdown, type Report } from './report.ts'
import { signingSteps } from './sign.ts'
import { runSteps, type Outcome } from './steps.ts'

const HELP = `npm run mac:acceptance -- [--person] [--image DIR] [--only PATTERN] [--json] [--out DIR]

What only a Mac can show of the Swift helper: signing, preflight, boot, exec, save and restores, reset times against
their targets, faults, sleep and wake. Writes report.md, to attach to an issue, and report.json.
  --person         someone is there to lock the screen and to wake the Mac; without, those two steps are not run
  --image DIR      a guest image (default out/guest/base; it is built on Linux: copy the folder over)
  --restores N     restores of one saved VM (default 30)
  --resets N       fast resets (default 30)
  --cold-resets N  cold resets (default 10)
  --only PATTERN   steps whose id or title matches
  --out DIR        where the report goes (default out/mac-acceptance)
  --json           print the report as one object instead of the lines
  --stand-in       rehearse it on Linux, with the stand-in of the framework: the report says that it was no Mac`

const { values } = parseArgs({
  options: {
    person: { type: 'boolean', default: false },
    image: { type: 'string' },
    restores: { type: 'string', default: '30' },
    resets: { type: 'string', default: '30' },
    'cold-resets': { type: 'string', default: '10' },
    only: { type: 'string', default: '' },
    out: { type: 'string', default: join(repository, 'out/mac-acceptance') },
    json: { type: 'boolean', default: false },
    'stand-in': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

function number(name: 'restores' | 'resets' | 'cold-resets'): number {
  const value = Number(values[name])
  if (Number.isInteger(value) && value >= 1 && value <= 1000) return value
  throw new Error(`--${name} is a number from 1 to 1000, not "${values[name]}".`)
}

async function commit(): Promise<string> {
  const git = async (...args: string[]) => await runForCode('git', args, { cwd: repository })
  const { code, output } = await git('rev-parse', 'HEAD')
  if (code !== 0) return 'unknown'
  const changes = await git('status', '--porcelain', '--untracked-files=no')
  return `${output.trim()}${changes.output.trim() === '' ? '' : ' with uncommitted changes'}`
}

const say = (line: string) => console.error(`• ${line}`)

function tell({ verdict, title, ms, reason }: Outcome): void {
  const mark = { passed: '✓', failed: '✗', 'not run': '–' }[verdict]
  console.error(
    `${mark} ${title} (${(ms / 1000).toFixed(1)} s)${reason === undefined ? '' : `\n    ${reason}`}`,
  )
}

/** The exit code: 0 when nothing failed, 2 when it cannot be run here. */
async function main(): Promise<number> {
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const standIn = values['stand-in']
  if (standIn === (process.platform === 'darwin')) {
    console.error(
      standIn
        ? 'This is a Mac: run it without --stand-in.'
        : 'This is no Mac: run it on one, or with --stand-in to rehearse it here.',
    )
    return 2
  }
  if (values.image === undefined && !existsSync(join(repository, 'out/guest/base'))) {
    console.error(
      'There is no guest image: build it on Linux (npm run guest), copy the folder out/guest/base here, and run this again.',
    )
    return 2
  }
  const pattern = new RegExp(values.only, 'i')
  const steps = [...signingSteps, ...machineSteps, ...drillSteps].filter(
    ({ id, title }) => pattern.test(id) || pattern.test(title),
  )
  const image = values.image === undefined ? guestImage() : imageIn(resolve(values.image))
  const on = new Acceptance(await helperBinary('vz'), image, {
    standIn,
    restores: number('restores'),
    resets: number('resets'),
    coldResets: number('cold-resets'),
    person: values.person,
    say,
  })
  if (standIn) say('This is no Mac: the stand-in of the framework is behind everything that follows.')
  try {
    const outcomes = await runSteps(steps, on, tell)
    const report: Report = {
      is_mac: !standIn,
      at: new Date().toISOString(),
      machine: machine(),
      commit: await commit(),
      image_digest: image.manifest.image_digest,
      outcomes,
    }
    mkdirSync(values.out, { recursive: true })
    const path = join(values.out, 'report.md')
    writeFileSync(path, markdown(report))
    writeFileSync(join(values.out, 'report.json'), `${JSON.stringify(report, null, 2)}\n`)
    if (values.json) console.log(JSON.stringify(report))
    else
      console.log(
        `${count(report, 'passed')} passed, ${count(report, 'failed')} failed, ${count(report, 'not run')} not run${standIn ? ' (no Mac)' : ''}; report: ${path}`,
      )
    return count(report, 'failed') === 0 && count(report, 'passed') > 0 ? 0 : 1
  } finally {
    await on.close()
  }
}

process.exitCode = await main()
