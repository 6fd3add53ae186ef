import { execFile } from 'node:child_process'
import { BsmError, Preflight } from '../protocol/index.ts'
import { spawnError } from './exit-reason.ts'

const PREFLIGHT_MS = 12_000

/** What a helper says of this machine (protocol §1), rejections included. Throws when it says nothing. */
export function askPreflight(
  { command, args }: { readonly command: string; readonly args: readonly string[] },
  env: Readonly<Record<string, string>>,
): Promise<Preflight> {
  return new Promise((resolve, reject) => {
    const options = { env: { ...env }, timeout: PREFLIGHT_MS, killSignal: 'SIGKILL' as const }
    execFile(command, [...args, 'preflight'], options, (error, stdout) => {
      // It ends with 64 when it rejects the machine; what counts is what it says.
      const said = parse(stdout)
      if (said !== null) resolve(said)
      else if (error !== null && 'syscall' in error) reject(spawnError(error, command))
      else reject(nothingSaid(error))
    })
  })
}

function parse(line: string): Preflight | null {
  try {
    return Preflight.parse(JSON.parse(line))
  } catch {
    return null
  }
}

const nothingSaid = (cause: unknown): BsmError =>
  new BsmError('VM_LIFECYCLE_ERROR', 'helper', "The helper's preflight gave no answer.", {
    nextStep: 'Build it again: npm run build.',
    ...(cause === null ? {} : { cause }),
  })
