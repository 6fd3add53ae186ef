import { Command, CommanderError } from 'commander'
import { EXIT } from '../../core/protocol/index.ts'
import { boot } from './commands/boot.ts'
import { type ExecFlags, oneShotExec, oneShotRestoreState, oneShotSaveState } from './commands/one-shot.ts'
import { defaultSocketPath, defaultStateDir } from './paths.ts'
import { preflight } from './preflight.ts'

const DEFAULT_CMDLINE = 'console=hvc0 root=/dev/vda rw'

type BootFlags = {
  kernel?: string
  rootfs?: string
  initrd?: string
  cmdline: string
  cpus: string
  memoryMib: string
  savedState?: string
  stateDir: string
  socket: string
}

/** Runs one command line; resolves with its exit code (§1). */
export async function runCli(args: string[]): Promise<number> {
  let code: number = EXIT.ok
  const program = new Command('bsm-qemu-helper')
    .description('Owns a Linux microVM under QEMU: boots it, runs tools in it, wipes it with proof.')
    .exitOverride()

  program
    .command('preflight')
    .description('say in one JSON line whether this machine can run the VM')
    .action(async () => {
      const result = await preflight()
      process.stdout.write(JSON.stringify(result) + '\n')
      code = result.ok ? EXIT.ok : EXIT.preflightFailed
    })

  program
    .command('boot')
    .description('boot the VM and serve requests on stdin until shutdown or its end')
    .option('--kernel <path>', 'uncompressed ARM64 Image')
    .option('--rootfs <path>', 'root disk; manifest.json beside it names the image')
    .option('--initrd <path>', 'initial RAM disk')
    .option('--cmdline <text>', 'kernel command line', DEFAULT_CMDLINE)
    .option('--cpus <n>', 'virtual CPUs', '2')
    .option('--memory-mib <n>', 'memory of the VM', '1024')
    .option('--saved-state <path>', 'restore this saved state instead of the golden snapshot')
    .option('--state-dir <dir>', 'golden snapshots, epochs, evidence', defaultStateDir())
    .option('--socket <path>', 'socket of the one-shot commands, or "none"', defaultSocketPath())
    .action(async (flags: BootFlags) => {
      code = await boot(flags)
    })

  program
    .command('exec')
    .description('run one tool in the running helper; the VM is reset before the result is printed')
    .option('--command-id <uuid>', 'a fresh UUID')
    .option('--tool <name>', 'name of the tool')
    .option('--params <json>', 'its parameters', '{}')
    .option('--deadline-ms <n>', '100 … 3600000', '30000')
    .option('--socket <path>', 'socket of the running helper')
    .action(async (flags: ExecFlags) => {
      code = await oneShotExec(flags)
    })

  program
    .command('save-state')
    .description("save the running helper's golden snapshot as a new directory")
    .option('--out <path>', 'directory to make; must not exist')
    .option('--socket <path>', 'socket of the running helper')
    .action(async (flags: { out?: string; socket?: string }) => {
      code = await oneShotSaveState(flags)
    })

  program
    .command('restore-state')
    .description('replace the VM of the running helper by one made from a saved state')
    .option('--from <path>', 'what save-state made')
    .option('--socket <path>', 'socket of the running helper')
    .action(async (flags: { from?: string; socket?: string }) => {
      code = await oneShotRestoreState(flags)
    })

  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.preflightFailed
    throw error
  }
  return code
}
