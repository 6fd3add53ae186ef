import type { Accelerator, Port } from '../../../core/protocol/index.ts'
import { PORTS } from '../../../core/protocol/index.ts'

/**
 * QEMU's command line. One function makes it for the golden VM and for every restored one: device
 * state fits only the machine it was saved from, so nothing but the RAM's sharing may differ.
 */

/** Descriptors of every VM, the same numbers in launcher and QEMU. */
export const FD = {
  qmp: 3,
  console: 4,
  ports: 5,
  ram: 9,
  rootfs: 10,
  kernel: 11,
  state: 12,
  initrd: 13,
} as const
export const PORT_LIST: readonly Port[] = [PORTS.dispatch, PORTS.evidence, PORTS.query, PORTS.control]
/** Saved device state does not describe the machine it fits: the golden manifest does, in these words. */
export const MACHINE = 'virt-7.2,gic-version=3,suppress-vmdesc=on'

export type MachineConfig = {
  cpus: number
  memoryMib: number
  cmdline: string
  accelerator: Exclude<Accelerator, 'vz'>
}

export type QemuRole =
  /** Boots the kernel, with RAM in a shared memory file that becomes golden, and writes {@link FD.state}. */
  | { kind: 'golden'; withInitrd: boolean }
  /** Waits to be told to read {@link FD.state}; RAM is a private view of the golden one. */
  | { kind: 'restored' }

export function qemuArgs(config: MachineConfig, role: QemuRole): string[] {
  const { cpus, memoryMib } = config
  const share = role.kind === 'golden' ? 'on' : 'off'
  return [
    ['-M', `${MACHINE},memory-backend=ram`],
    ['-cpu', config.accelerator === 'kvm' ? 'host' : 'cortex-a57'],
    ['-accel', config.accelerator === 'kvm' ? 'kvm' : 'tcg,thread=multi'],
    ['-smp', String(cpus)],
    ['-m', `${memoryMib}M`],
    [
      '-object',
      `memory-backend-file,id=ram,size=${memoryMib}M,mem-path=/proc/self/fd/${FD.ram},share=${share}`,
    ],
    ['-kernel', `/proc/self/fd/${FD.kernel}`],
    ...(role.kind === 'golden' && role.withInitrd ? [['-initrd', `/proc/self/fd/${FD.initrd}`]] : []),
    ['-append', config.cmdline],
    ['-nodefaults'],
    ['-no-user-config'],
    ['-no-reboot'],
    ['-display', 'none'],
    ['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ['-chardev', `socket,id=qmp,fd=${FD.qmp}`],
    ['-mon', 'chardev=qmp,mode=control'],
    ['-device', 'virtio-serial-pci'],
    ['-chardev', `socket,id=con,fd=${FD.console}`],
    ['-device', 'virtconsole,chardev=con'],
    ['-device', 'virtio-serial-pci,id=ports'],
    ...PORT_LIST.flatMap((port, i) => [
      ['-chardev', `socket,id=p${port},fd=${FD.ports + i}`],
      ['-device', `virtserialport,bus=ports.0,chardev=p${port},id=port${port},name=bsm.${port}`],
    ]),
    // A descriptor set, not a path: the disk is the very file that the helper opened and hashes.
    ['-add-fd', `fd=${FD.rootfs},set=1`],
    ['-drive', 'file=/dev/fdset/1,format=raw,if=none,id=root,readonly=on,file.locking=off'],
    ['-device', 'virtio-blk-pci,drive=root'],
    ['-device', 'virtio-rng-pci'],
    ['-global', 'migration.send-configuration=off'],
    ['-S'],
    role.kind === 'golden' ? [] : ['-incoming', 'defer'],
  ].flat()
}
