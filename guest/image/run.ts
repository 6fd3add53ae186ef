import { spawn } from 'node:child_process'

export interface RunOptions {
  cwd?: string
  env?: Record<string, string>
  input?: string
  /** Milliseconds; default 10 minutes. */
  timeout?: number
}

/** Runs a program to its end and returns its standard output; throws with its last words when it fails. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  return new Promise((done, fail) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, LC_ALL: 'C', ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: options.timeout ?? 600_000,
      killSignal: 'SIGKILL',
    })
    const out: Buffer[] = []
    let err = ''
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => (err = (err + chunk.toString()).slice(-4000)))
    child.stdin.on('error', () => undefined) // a program that ends without reading is reported by its exit code
    child.stdin.end(options.input ?? '')
    child.on('error', (cause) => {
      fail(
        new Error(`${program} could not be started: ${cause.message}. Install it and try again.`, { cause }),
      )
    })
    child.on('close', (code, signal) => {
      if (code === 0) done(Buffer.concat(out).toString())
      else fail(new Error(`${program} ${args[0] ?? ''} failed (${String(signal ?? code)}): ${err.trim()}`))
    })
  })
}
