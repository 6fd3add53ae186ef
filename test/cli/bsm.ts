import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { within } from '../support/deadline.ts'
import { repository } from '../support/image.ts'
import type { Scratch } from '../support/scratch.ts'

const DEADLINE_MS = 90_000

export type Ran = { code: number | null; stdout: string; stderr: string }

/** Runs the built `bsm` to its end, without a terminal, in a scratch world. */
export async function bsm(
  scratch: Scratch,
  args: string[],
  stdin = '',
  env: Record<string, string> = {},
): Promise<Ran> {
  const child = spawn(process.execPath, [join(repository, 'build/bsm.mjs'), ...args], {
    cwd: scratch.home,
    env: scratch.environment(env),
    stdio: 'pipe',
  })
  const ran: Ran = { code: null, stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => (ran.stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (ran.stderr += chunk.toString()))
  child.stdin.end(stdin)
  try {
    ran.code = await within(
      DEADLINE_MS,
      `bsm ${args.join(' ')}`,
      new Promise<number | null>((resolve, reject) => {
        child.on('error', reject)
        child.on('close', resolve)
      }),
    )
  } finally {
    child.kill('SIGKILL')
  }
  return ran
}
