import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root } from './root.ts'

/** SHA-256 over the names and bytes of files and folders, relative to the checkout; never over file times. */
export function contentHash(inputs: string[]): string {
  const hash = createHash('sha256')
  for (const input of [...inputs].sort()) addTo(hash, input)
  return hash.digest('hex')
}

function addTo(hash: ReturnType<typeof createHash>, path: string): void {
  const full = join(root, path)
  if (!existsSync(full)) {
    hash.update(`absent\0${path}\0`)
  } else if (statSync(full).isDirectory()) {
    for (const name of readdirSync(full).sort()) {
      if (name !== 'node_modules' && !name.includes('.test.')) addTo(hash, join(path, name))
    }
  } else {
    const bytes = readFileSync(full)
    hash.update(`file\0${path}\0${bytes.length}\0`).update(bytes)
  }
}

/** Builds `name` unless its outputs exist and were made from these very inputs. Returns whether it was built. */
export async function ifChanged(
  name: string,
  { inputs, outputs }: { inputs: string[]; outputs: string[] },
  build: () => Promise<void>,
): Promise<boolean> {
  const stamp = join(root, 'out', 'stamps', name)
  const hash = contentHash(inputs)
  const upToDate =
    outputs.every((output) => existsSync(join(root, output))) &&
    existsSync(stamp) &&
    readFileSync(stamp, 'utf8') === hash
  if (upToDate) return false
  await build()
  mkdirSync(dirname(stamp), { recursive: true })
  writeFileSync(stamp, hash)
  return true
}
