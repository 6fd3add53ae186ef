import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as z from 'zod'
import { helperRequirement } from '../../core/protocol/distribution.ts'
import { SetupError, type Log } from '../progress.ts'
import { run } from '../run.ts'
import type { Plan } from './plan.ts'
import { HELPER, PRODUCT, type Project } from './project.ts'

/** What the packaged app prints for `--self-check`. */
const SelfCheck = z.object({ ok: z.literal(true), version: z.string() })
const LAUNCH_MS = 120_000

/**
 * What only a Mac can say of the finished files, asked of the copies that users get: the app as it comes out of the
 * disk image and out of the zip. Throws at the first that does not hold.
 */
export async function verifyRelease(project: Project, plan: Plan, log: Log): Promise<void> {
  const name = `Brainstorm-Sandbox-${project.packageJson.version}-arm64`
  const image = join(project.release, `${name}.dmg`)
  const scratch = mkdtempSync(join(tmpdir(), 'bsm-verify-'))
  try {
    log('the app in the zip')
    const unpacked = join(scratch, 'zip')
    await run('ditto', ['-x', '-k', join(project.release, `${name}.zip`), unpacked])
    await verifyApp(join(unpacked, `${PRODUCT}.app`), plan)
    log('the disk image')
    if (plan.kind === 'release') {
      await run('codesign', ['--verify', '--strict', image])
      await run('xcrun', ['stapler', 'validate', image])
      await run('spctl', ['--assess', '--type', 'open', '--context', 'context:primary-signature', image])
    }
    const mounted = join(scratch, 'dmg')
    await run('hdiutil', ['attach', '-readonly', '-nobrowse', '-noautoopen', '-mountpoint', mounted, image])
    try {
      const app = join(mounted, `${PRODUCT}.app`)
      await verifyApp(app, plan)
      log('the app in the disk image, started')
      await launch(app, project, scratch)
    } finally {
      await run('hdiutil', ['detach', mounted])
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

async function verifyApp(app: string, plan: Plan): Promise<void> {
  await run('codesign', ['--verify', '--strict', '--deep', app])
  const helper = join(app, 'Contents/MacOS', HELPER)
  await run('codesign', ['--verify', '--strict', `-R=${helperRequirement(plan.signing)}`, helper])
  // Gatekeeper lets no ad-hoc signature pass, and says so: there is nothing to ask.
  if (plan.kind === 'development') return
  await run('xcrun', ['stapler', 'validate', app])
  await run('spctl', ['--assess', '--type', 'execute', '--verbose=4', app])
}

/** Through LaunchServices, as a double click would; the app checks its parts, asks its helper, says so and ends. */
async function launch(app: string, project: Project, scratch: string): Promise<void> {
  const said = join(scratch, 'self-check.json')
  await run('open', ['-W', '-n', '--stdout', said, '-a', app, '--args', '--self-check'], {
    deadlineMs: LAUNCH_MS,
  })
  const text = readFileSync(said, 'utf8')
  const { version } = project.packageJson
  try {
    const check = SelfCheck.parse(JSON.parse(text.trim().split('\n').at(-1) ?? ''))
    if (check.version !== version) throw new Error(`it is version ${check.version}`)
  } catch (cause) {
    throw new SetupError(`The app in the disk image did not pass its own check. It said:\n${text}`, { cause })
  }
}
