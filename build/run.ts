import { spawn } from 'node:child_process'
import { root } from './root.ts'
import { SetupError } from './progress.ts'

export type RunOptions = {
  cwd?: string
  env?: Record<string, string>
  /** Show the child's output instead of keeping it for an error. */
  show?: boolean
  /** Milliseconds after which the child is killed; half an hour unless given. */
  deadlineMs?: number
}

const DEADLINE_MS = 30 * 60_000

/**
 * Runs a program to its end and returns what it printed (both streams, the last 16 MiB).
 * A non-zero exit throws with the tail of that.
 */
export async function run(command: string, args: string[], options: RunOptions = {}): Promise<string> {
  const { code, output } = await runForCode(command, args, options)
  if (code === 0) return output
  const tail = output.trimEnd().split('\n').slice(-25).join('\n')
  throw new SetupError(`\`${[command, ...args].join(' ')}\` ended with ${code}\n${tail}`)
}

export function runForCode(
  command: string,
  args: string[],
  { cwd = root, env = {}, show = false, deadlineMs = DEADLINE_MS }: RunOptions = {},
): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', show ? 'inherit' : 'pipe', show ? 'inherit' : 'pipe'],
    })
    let output = ''
    const keep = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-16 * 1024 * 1024)
    }
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    const late = setTimeout(() => {
      output += `\n${command} was killed: it had not ended after ${deadlineMs / 1000} s`
      child.kill('SIGKILL')
    }, deadlineMs)
    child.on('error', (cause) => {
      clearTimeout(late)
      reject(new SetupError(`cannot run ${command}: ${cause.message}`, { cause }))
    })
    child.on('close', (code, signal) => {
      clearTimeout(late)
      resolve({ code: code ?? (signal ? 128 : 1), output })
    })
  })
}
