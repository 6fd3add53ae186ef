import { execFile } from 'node:child_process'
import { BsmError, helperRequirement, type Signing } from '../protocol/index.ts'

const CODESIGN = '/usr/bin/codesign'
const DEADLINE_MS = 20_000

export type RunTool = (command: string, args: readonly string[]) => Promise<{ code: number; output: string }>

/** Throws unless the program at `helper` carries a valid signature that satisfies the requirement. macOS only. */
export async function checkHelperSignature(
  helper: string,
  signing: Signing,
  run: RunTool = runTool,
): Promise<void> {
  const args = ['--verify', '--strict', `-R=${helperRequirement(signing)}`, helper]
  const { code, output } = await run(CODESIGN, args)
  if (code === 0) return
  throw new BsmError('VM_LIFECYCLE_ERROR', 'app', 'The helper is not the one that this app came with.', {
    nextStep: 'Install the app again from its disk image.',
    cause: output.trim() || `codesign ended with ${code}`,
  })
}

const runTool: RunTool = (command, args) =>
  new Promise((resolve) => {
    execFile(command, [...args], { timeout: DEADLINE_MS, env: {} }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      resolve({ code, output: stdout + stderr + (error === null || code !== 1 ? '' : `\n${error.message}`) })
    })
  })
