import { execFile } from 'node:child_process'
import { askPreflight, helperEnvironment } from '../helper/index.ts'
import type { AppSnapshot } from '../protocol/index.ts'
import type { Machine } from './check.ts'

const RUN_WITHIN_MS = 5_000

/** This machine, as whoever asks knows it; `helper` throws a sentence where there is none. */
export function thisMachine(
  known: Pick<Machine, 'root' | 'imageDir' | 'env' | 'app' | 'audit'> & {
    readonly helper: () => { readonly command: string; readonly args: readonly string[] }
  },
): Machine {
  const { root, imageDir, env, audit } = known
  let app: Promise<AppSnapshot | null> | undefined
  return {
    root,
    imageDir,
    env,
    audit,
    platform: process.platform,
    nodeVersion: process.versions.node,
    run: (program, args) => run(program, args, env),
    preflight: async () => askPreflight(known.helper(), helperEnvironment(env, {})),
    app: () => (app ??= known.app()),
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
