import type { Accelerator, Backend } from '../protocol.ts'
import { useStore } from '../store/index.ts'

const BACKENDS: Record<Backend, string> = { vz: 'Virtualization.framework', qemu: 'QEMU' }
const ACCELERATORS: Record<Accelerator, string> = { vz: 'hardware', kvm: 'KVM', tcg: 'TCG, emulated' }

export const machineWords = (backend: Backend, accelerator: Accelerator): string =>
  `${BACKENDS[backend]} · ${ACCELERATORS[accelerator]}`

/** The same in as few letters as a heading has room for. */
const machineName = (backend: Backend, accelerator: Accelerator) =>
  backend === 'vz' ? 'VZ' : `QEMU · ${accelerator.toUpperCase()}`

/** On what the times beside it were measured: an emulated figure must never pass for a Mac's. */
export function MachineTag() {
  const machine = useStore((state) => state.machine)
  if (machine === null) return <span className="machine">backend not known</span>
  return (
    <span className="machine" title={`Measured on ${machineWords(machine.backend, machine.accelerator)}`}>
      <span className="sr-only">Measured on </span>
      {machineName(machine.backend, machine.accelerator)}
    </span>
  )
}
