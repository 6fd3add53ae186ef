import { execFile } from 'node:child_process'
import { askPreflight, helperEnvironment } from '../../core/index.ts'
import { connectControl } from '../connect.ts'
import { projectRoot } from '../project-root.ts'
import { locateHelper } from '../up/locate.ts'
import type { Machine } from './check.ts'

const RUN_WITHIN_MS = 5_000

/** This machine. */
export function thisMachine(env: NodeJS.ProcessEnv): Machine {
  let app: ReturnType<Machine['app']> | undefined
  return {
    root: projectRoot,
    env,
    platform: process.platform,
    nodeVersion: process.versions.node,
    run: (program, args) => run(program, args, env),
    preflight: async () => {
      const helper = locateHelper(undefined, projectRoot, { platform: process.platform, env })
      return askPreflight(helper, helperEnvironment(env, {}))
    },
    app: () => (app ??= snapshot(env)),
  }
}

function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  // Where distributions keep mke2fs and its like, though not in everybody's PATH.
  const PATH = `${env.PATH ?? ''}:/usr/sbin:/sbin:/usr/local/bin`
  return new Promise((resolve, reject) => {
    const options = { env: { ...env, PATH }, timeout: RUN_WITHIN_MS, killSignal: 'SIGKILL' as const }
    execFile(program, args, options, (error, stdout, stderr) => {
      if (error) reject(error)
      else resolve(`${stdout}${stderr}`)
    })
  })
}

async function snapshot(env: NodeJS.ProcessEnv): ReturnType<Machine['app']> {
  try {
    await using control = await connectControl(env)
    return await control.status({ timeoutMs: 5_000 })
  } catch {
    return null
  }
}
