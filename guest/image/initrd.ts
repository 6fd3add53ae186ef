import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type Entry, cpio } from './cpio.ts'
import { ImageBuildError } from './error.ts'
import { run } from './run.ts'

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
export async function makeInitrd(init: Buffer, kernelTree: string, identity: string): Promise<Buffer> {
  const modules = await readModules(kernelTree)
  const files = modules.map(({ name, data }): Entry => ({
    path: `bsm/modules/${name}.ko`,
    kind: 'file',
    mode: 0o644,
    data,
  }))
  const order = modules.map(({ name }) => `${name}.ko\n`).join('')
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

/** The modules that this kernel needs loaded. Debian 12 has them as they are, Debian 13 compressed or built in. */
async function readModules(kernelTree: string): Promise<{ name: string; data: Buffer }[]> {
  const folder = ['lib/modules', 'usr/lib/modules']
    .map((path) => join(kernelTree, path))
    .find((path) => existsSync(path))
  const entries = folder ? readdirSync(folder, { recursive: true, withFileTypes: true }) : []
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
  const builtIn = paths
    .filter((path) => basename(path) === 'modules.builtin')
    .flatMap((path) => readFileSync(path, 'utf8').split('\n'))
    .map((path) => basename(path, '.ko'))
  const needed = MODULES.filter((name) => !builtIn.includes(name)).map((name) => {
    const path = paths.find((path) => [`${name}.ko`, `${name}.ko.xz`].includes(basename(path)))
    if (path === undefined)
      throw new ImageBuildError(
        `The kernel package has no module ${name}.`,
        'This version builds with the kernels of Debian 12 and 13.',
      )
    return { name, path }
  })
  const packed = needed.map(({ path }) => path).filter((path) => path.endsWith('.xz'))
  if (packed.length > 0) await run('xz', ['--decompress', ...packed])
  return needed.map(({ name, path }) => ({ name, data: readFileSync(path.replace(/\.xz$/, '')) }))
}
