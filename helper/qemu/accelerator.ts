import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import type { MachineConfig } from './vm/qemu-args.ts'
import { qemuBinary } from './vm/qemu-process.ts'

const PROBE_DEADLINE_MS = 5_000

/**
 * What will run the guest's instructions. KVM carries an ARM64 image on an ARM64 host only, and a
 * `/dev/kvm` that is there may still not work: so a machine is made with it once and quit.
 */
export async function probeAccelerator(): Promise<MachineConfig['accelerator']> {
  if (process.arch !== 'arm64') return 'tcg'
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK)
  } catch {
    return 'tcg'
  }
  return (await startsUnderKvm()) ? 'kvm' : 'tcg'
}

async function startsUnderKvm(): Promise<boolean> {
  const args = ['-M', 'virt,gic-version=3', '-cpu', 'host', '-accel', 'kvm', '-m', '128M', '-S']
  const { code, stdout } = await runQemu([...args, '-nodefaults', '-display', 'none', '-qmp', 'stdio'], QUIT)
  return code === 0 && stdout.includes('"QMP"')
}

const QUIT = '{"execute":"qmp_capabilities"}\n{"execute":"quit"}\n'

/** QEMU's version, or null when it cannot be run. */
export async function qemuVersion(): Promise<string | null> {
  const { code, stdout } = await runQemu(['--version'], '')
  return code === 0 ? (/version (\d+\.\d+\.\d+)/.exec(stdout)?.[1] ?? null) : null
}

async function runQemu(args: string[], stdin: string): Promise<{ code: number | null; stdout: string }> {
  return await new Promise((resolve) => {
    const child = spawn(qemuBinary(), args, {
      stdio: ['pipe', 'pipe', 'ignore'],
      timeout: PROBE_DEADLINE_MS,
      killSignal: 'SIGKILL',
    })
    let stdout = ''
    child.stdout.on('data', (chunk: Buffer) => {
      stdout = (stdout + chunk.toString('utf8')).slice(0, 4096)
    })
    child.stdin.on('error', () => undefined)
    child.stdin.end(stdin)
    child.once('error', () => resolve({ code: null, stdout }))
    child.once('close', (code) => resolve({ code, stdout }))
  })
}
