import { spawn } from 'node:child_process'
import { ImageBuildError } from './error.ts'
import { interruption } from './interrupt.ts'

/** How long an interrupted program may take to clear up behind itself, in milliseconds. */
const FAREWELL_MS = 5_000

export interface RunOptions {
  cwd?: string
  env?: Record<string, string>
  input?: string
  /** Milliseconds until the program is killed; default 3 minutes. */
  deadline?: number
  /** What an error calls the program; default its name and first argument. */
  label?: string
  /** What an error advises. */
  next?: string
}

/**
 * Runs a program to its end and returns its standard output; throws with its last words when it fails or overruns, and
 * once it has ended when the build is interrupted.
 */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { deadline = 180_000, label = `${program} ${args[0] ?? ''}`.trim() } = options
  const next = options.next ?? 'Mend that and run the same command again.'
  const interrupted = interruption()
  return new Promise((done, fail) => {
    interrupted?.throwIfAborted()
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, LC_ALL: 'C', ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true, // a process group of its own, so that what it started can be ended with it
    })
    const end = (signal: NodeJS.Signals) => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, signal)
      } catch {
        // it ended meanwhile
      }
    }
    const out: Buffer[] = []
    let err = ''
    const interrupt = () => {
      end('SIGINT')
      farewell = setTimeout(() => {
        end('SIGKILL')
      }, FAREWELL_MS)
    }
    let farewell: NodeJS.Timeout | undefined
    interrupted?.addEventListener('abort', interrupt)
    const timer = setTimeout(() => {
      end('SIGKILL')
      // What left the program's group may still hold the pipes: do not wait for their end.
      child.stdout.destroy()
      child.stderr.destroy()
      const said = err.trim() === '' ? '' : ` Its last words: ${err.trim()}`
      fail(
        new ImageBuildError(
          `${label} did not end within ${String(deadline / 1000)} s and was killed.${said}`,
          next,
        ),
      )
    }, deadline)
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => (err = (err + chunk.toString()).slice(-4000)))
    child.stdin.on('error', () => undefined) // a program that ends without reading is reported by its exit code
    child.stdin.end(options.input ?? '')
    child.on('error', (cause) => {
      clearTimeout(timer)
      fail(
        new ImageBuildError(
          `${program} could not be started: ${cause.message}.`,
          'Install it and run the same command again.',
          { cause },
        ),
      )
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      clearTimeout(farewell)
      interrupted?.removeEventListener('abort', interrupt)
      if (interrupted?.aborted === true) fail(interrupted.reason as ImageBuildError)
      else if (code === 0) done(Buffer.concat(out).toString())
      else fail(new ImageBuildError(`${label} failed (${String(signal ?? code)}): ${err.trim()}\n`, next))
    })
  })
}
