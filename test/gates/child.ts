import { spawn } from 'node:child_process'

/**
 * Runs a program in a process group of its own, with both its streams on our stderr, and gives its exit code; null
 * when a signal ended it. Aborted, it is asked to end as by Ctrl-C; whatever it leaves of its group is killed, also
 * when we are ended first.
 */
export function runInGroup(
  command: string,
  args: readonly string[],
  { cwd, signal }: { cwd: string; signal: AbortSignal },
): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 2, 2], detached: true })
    const { pid } = child
    if (pid === undefined) {
      child.on('error', reject)
      return
    }
    const ask = (): void => {
      child.kill('SIGINT')
    }
    const killGroup = (): void => {
      try {
        process.kill(-pid, 'SIGKILL')
      } catch {
        // none of it is left
      }
    }
    if (signal.aborted) ask()
    signal.addEventListener('abort', ask, { once: true })
    process.on('exit', killGroup)
    child.on('error', reject)
    child.on('exit', (code) => {
      signal.removeEventListener('abort', ask)
      process.off('exit', killGroup)
      killGroup()
      resolve(code)
    })
  })
}
