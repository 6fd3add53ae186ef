/** The VM that every figure of a run is about. */
export type Machine = { cpus: number; memoryMib: number; accelerator: 'kvm' | 'tcg' }
