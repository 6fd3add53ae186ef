import { runCli } from './cli.ts'

/** bsm-qemu-helper: owns microVMs under QEMU, behind the helper contract (protocol §1–§2). */
process.exit(await runCli(process.argv.slice(2)))
