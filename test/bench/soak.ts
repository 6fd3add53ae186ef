import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { AppProcess, standbyReady } from '../support/app.ts'
import { guestImage } from '../support/image.ts'
import { openFiles } from '../support/processes.ts'
import { Scratch } from '../support/scratch.ts'
import { residentMib } from './footprint.ts'
import { median } from './stats.ts'

const HELP = `npx tsx test/bench/soak.ts [--dispatches 300]

Dispatches with resets in a row through the app, and what app, helper and VMs have grown by afterwards: memory,
descriptors, processes, disk. Before them come as many as evidence is kept of: until then disk grows as it should.
Ends with 1 when a reset was not verified or something grew.`

const { values } = parseArgs({
  options: { dispatches: { type: 'string', default: '300' }, help: { type: 'boolean', default: false } },
})

/** Chains of evidence are kept for the last 200 dispatches. */
const SETTLING = 210

type Sample = { mib: number; descriptors: number; processes: number; disk_kib: number }

/** Bytes on disk; the audit log and the app's log are append-only by design and bounded elsewhere. */
function diskKib(folder: string): number {
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'logs' ? sum : sum + diskKib(path)
    return entry.name.startsWith('audit.jsonl') ? sum : sum + (lstatSync(path).blocks * 512) / 1024
  }, 0)
}

function sample(app: AppProcess): Sample {
  const pids = app.processes.map(({ pid }) => pid)
  return {
    mib: residentMib(pids),
    descriptors: pids.reduce((sum, pid) => sum + openFiles(pid).length, 0),
    processes: pids.length,
    disk_kib: diskKib(app.scratch.stateDir),
  }
}

async function soak(dispatches: number): Promise<boolean> {
  const scratch = new Scratch('soak')
  const app = await (await AppProcess.start(scratch, guestImage())).ready()
  try {
    await using control = await app.control()
    const samples: Sample[] = []
    for (let n = 1; n <= SETTLING + dispatches; n += 1) {
      await standbyReady(control)
      if (n > SETTLING) samples.push(sample(app))
      const command = `echo ${n}; head -c 200000 /dev/zero; echo x > ~/file${n}`
      const response = await control.exec('sh', { command })
      if (response.exit_code !== 0 || response.sandbox_reset_state?.verification_passed !== true)
        throw new Error(`dispatch ${n}: ${JSON.stringify({ ...response, stdout: '' })}`)
      if (n % 50 === 0) console.error(`• ${n} dispatches, every reset verified`)
    }
    const third = Math.max(1, Math.floor(samples.length / 3))
    const grew = (['mib', 'descriptors', 'processes', 'disk_kib'] as const).filter((figure) => {
      const early = median(samples.slice(0, third).map((one) => one[figure]))
      const late = median(samples.slice(-third).map((one) => one[figure]))
      console.log(`${figure.padEnd(12)} ${early.toFixed(1).padStart(10)} → ${late.toFixed(1).padStart(10)}`)
      return late > early * 1.02 + (figure === 'mib' ? 2 : 0)
    })
    console.log(
      grew.length === 0
        ? `${dispatches} dispatches after ${SETTLING}: nothing grew`
        : `grew: ${grew.join(', ')}`,
    )
    return grew.length === 0
  } finally {
    await app.dispose()
    scratch.remove()
  }
}

if (values.help) console.log(HELP)
else process.exitCode = (await soak(Number(values.dispatches))) ? 0 : 1
