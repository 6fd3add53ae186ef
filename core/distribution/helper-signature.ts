import { execFile } from 'node:child_process'
import { BsmError, type Signing } from '../protocol/index.ts'

/** The helper's signing identifier; `build/dist/sign.ts` gives it. */
const IDENTIFIER = 'bsm-vz-helper'
const CODESIGN = '/usr/bin/codesign'
const DEADLINE_MS = 20_000

/**
 * The requirement (Apple's Code Signing Requirement Language) that a helper of this distribution satisfies. A
 * Developer ID is Apple's root, the intermediate and leaf marks of such certificates, and our team; an ad-hoc
 * signature proves only that the bytes are those that were signed.
 */
export function helperRequirement(signing: Signing): string {
  const identifier = `identifier "${IDENTIFIER}"`
  switch (signing.kind) {
    case 'ad_hoc':
      return identifier
    case 'developer_id':
      return [
        identifier,
        'anchor apple generic',
        'certificate 1[field.1.2.840.113635.100.6.2.6] exists',
        'certificate leaf[field.1.2.840.113635.100.6.1.13] exists',
        `certificate leaf[subject.OU] = "${signing.team_id}"`,
      ].join(' and ')
  }
}

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
