import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BsmError } from '../../core/protocol/index.ts'
import { EXIT_CODE } from '../exit-codes.ts'
import type { Io } from '../io.ts'

/** Set for the process in the background, which reports over its IPC channel instead of a terminal. */
const MARK = 'BSM_DETACHED'
const LOOK_EVERY_MS = 100
const READY_WITHIN_MS = 360_000

/** True in the process that `--detach` started. */
export const isDetached = (env: NodeJS.ProcessEnv): boolean => env[MARK] === '1' && process.send !== undefined

/** In the background process: tells the one who waits, and lets go of it. */
export function reportReady(): void {
  process.send?.('ready')
  process.disconnect()
}

/**
 * Runs the same command line in the background and shows what it says until it is ready. Returns 0 then, or the
 * exit code of a start that failed.
 */
export async function detach(logsDir: string, io: Io): Promise<number> {
  mkdirSync(logsDir, { recursive: true, mode: 0o700 })
  const log = openSync(join(logsDir, 'up.log'), 'w+', 0o600)
  try {
    const [, entry, ...args] = process.argv
    if (entry === undefined)
      throw new BsmError('INTERNAL_BUG', 'app', 'this program does not know its own path')
    const child = spawn(process.execPath, [...process.execArgv, entry, ...args], {
      detached: true,
      // Standard output is for the error of --json alone; in the background nothing else is written there.
      stdio: ['ignore', 'pipe', log, 'ipc'],
      env: { ...io.env, [MARK]: '1' },
    })
    return await follow(child, log, io)
  } finally {
    closeSync(log)
  }
}

async function follow(child: ChildProcess, log: number, io: Io): Promise<number> {
  let outcome: number | undefined
  child.stdout?.on('data', (chunk: Buffer) => io.stdout.write(chunk))
  child.once('message', () => (outcome ??= EXIT_CODE.ok))
  child.once('close', (code) => (outcome ??= code ?? EXIT_CODE.interrupted))
  child.once('error', () => (outcome ??= EXIT_CODE.interrupted))
  const until = performance.now() + READY_WITHIN_MS
  let shown = 0
  while (outcome === undefined && performance.now() < until) {
    await sleep(LOOK_EVERY_MS)
    shown += show(log, shown, io)
  }
  show(log, shown, io)
  if (outcome === undefined) {
    child.kill('SIGTERM')
    throw new BsmError('TIMEOUT', 'app', `the app was not ready within ${READY_WITHIN_MS / 1000} s`, {
      nextStep: 'see `bsm doctor`, or run `bsm up` without --detach',
    })
  }
  if (child.connected) child.disconnect()
  child.stdout?.destroy()
  child.unref()
  return outcome
}

/** Copies what was logged since `from` to stderr and returns how much that was. */
function show(log: number, from: number, io: Io): number {
  const buffer = Buffer.alloc(64 * 1024)
  const length = readSync(log, buffer, 0, buffer.length, from)
  if (length > 0) io.stderr.write(buffer.subarray(0, length))
  return length
}
