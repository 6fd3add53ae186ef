import { readFileSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type Entry, cpio } from './cpio.ts'

/** The order in which the guest loads them: `virtio` before `virtio_ring` fails with "Unknown symbol". */
const MODULES = [
  'virtio_ring',
  'virtio',
  'virtio_pci_modern_dev',
  'virtio_pci_legacy_dev',
  'virtio_pci',
  'virtio_console',
  'virtio_blk',
  'vsock',
  'vmw_vsock_virtio_transport_common',
  'vmw_vsock_virtio_transport',
  'vsock_loopback',
  'overlay',
  'virtio-rng',
]

/** Builds the initramfs, uncompressed: unpacking costs more at boot than reading. */
export function makeInitrd(init: Buffer, kernelTree: string, identity: string): Buffer {
  const modules = modulePaths(kernelTree)
  const files = MODULES.map((name): Entry => {
    const path = modules.get(name)
    if (path === undefined) throw new Error(`The kernel package has no module ${name}.`)
    return { path: `bsm/modules/${name}.ko`, kind: 'file', mode: 0o644, data: readFileSync(path) }
  })
  const order = MODULES.map((name) => `${name}.ko\n`).join('')
  return cpio([
    ...['bsm', 'bsm/modules', 'dev', 'disk', 'memory', 'new', 'proc', 'sys'].map((path): Entry => ({
      path,
      kind: 'dir',
    })),
    { path: 'dev/console', kind: 'char', mode: 0o600, major: 5, minor: 1 },
    { path: 'dev/null', kind: 'char', mode: 0o666, major: 1, minor: 3 },
    { path: 'bsm/image.json', kind: 'file', mode: 0o644, data: Buffer.from(identity) },
    { path: 'bsm/modules/order', kind: 'file', mode: 0o644, data: Buffer.from(order) },
    ...files,
    { path: 'init', kind: 'file', mode: 0o755, data: init },
  ])
}

function modulePaths(kernelTree: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const entry of readdirSync(join(kernelTree, 'lib/modules'), {
    recursive: true,
    withFileTypes: true,
  })) {
    if (entry.name.endsWith('.ko')) found.set(basename(entry.name, '.ko'), join(entry.parentPath, entry.name))
  }
  return found
}
