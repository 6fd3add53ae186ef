import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { copyFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import * as z from 'zod'
import { Digest } from '../../core/protocol/common.ts'
import { ImageManifest } from '../../core/protocol/image.ts'
import { fileDigest } from './digest.ts'
import { ImageBuildError } from './error.ts'
import { guestDir } from './recipe.ts'
import { beside, replaceFolder, sweep } from './replace.ts'
import { run } from './run.ts'

/** `guest/published.json`: recipe → digest of the manifest of the image that releases carry. */
const Committed = z.record(z.string(), Digest)
const committedPath = join(guestDir, 'published.json')

/** The digest that a published image of `recipe` has to have; null when none is recorded. */
export function readCommitted(recipe: string): string | null {
  if (!existsSync(committedPath)) return null
  return Committed.parse(JSON.parse(readFileSync(committedPath, 'utf8')))[recipe] ?? null
}

/** Records the image in `dir` as the one that releases carry. Returns its digest. */
export async function record(dir: string): Promise<string> {
  const { recipe } = readManifest(dir)
  const digest = await fileDigest(join(dir, 'manifest.json'))
  const known: Record<string, string> = existsSync(committedPath)
    ? Committed.parse(JSON.parse(readFileSync(committedPath, 'utf8')))
    : {}
  writeFileSync(committedPath, `${JSON.stringify({ ...known, [recipe]: digest }, undefined, 2)}\n`)
  return digest
}

/** Packs the image in `dir` for another machine; the same image gives the same bytes. Returns its digest. */
export async function packImage(dir: string, file: string): Promise<string> {
  const names = filesOf(readManifest(dir))
  const scratch = beside(resolve(file), 'building')
  mkdirSync(scratch, { recursive: true })
  try {
    for (const name of names) {
      copyFileSync(join(dir, name), join(scratch, name))
      utimesSync(join(scratch, name), 0, 0)
    }
    const same = ['--format=ustar', '--owner=0', '--group=0', '--numeric-owner', '--mode=0644', '--sort=name']
    await run('tar', [...same, '-cf', join(scratch, 'image.tar'), '-C', scratch, ...names])
    await run('sh', ['-c', 'gzip -9n < "$1" > "$2"', 'sh', join(scratch, 'image.tar'), resolve(file)])
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
  return fileDigest(join(dir, 'manifest.json'))
}

export interface TakeOptions {
  /** What `packImage` made. */
  file: string
  /** The image's folder. */
  dir: string
  /** What its manifest's digest has to be; null refuses every image. */
  digest: string | null
}

/** Puts a packed image into `dir` after its manifest, and every file by it, was found right. Throws ImageBuildError. */
export async function takeImage({ file, dir, digest }: TakeOptions): Promise<ImageManifest> {
  if (digest === null)
    throw new ImageBuildError(
      'No digest is recorded that the image could be checked against.',
      'Give the one that the machine printed which packed it: --digest sha256:…',
    )
  if (!existsSync(file)) throw new ImageBuildError(`There is no ${file}.`, 'Name what --pack wrote on Linux.')
  sweep(dir)
  const scratch = beside(dir, 'building')
  rmSync(scratch, { recursive: true, force: true })
  mkdirSync(scratch, { recursive: true })
  try {
    await run('tar', ['-xzf', resolve(file), '-C', scratch])
    const found = existsSync(join(scratch, 'manifest.json'))
      ? await fileDigest(join(scratch, 'manifest.json'))
      : 'none'
    if (found !== digest)
      throw new ImageBuildError(
        `${file} is not the expected image: its manifest has the digest ${found} instead of ${digest}.`,
        'Take the file that belongs to this version of the sources.',
      )
    const manifest = readManifest(scratch)
    await checkFiles(scratch, manifest, file)
    replaceFolder(scratch, dir)
    return manifest
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

function readManifest(dir: string): ImageManifest {
  return ImageManifest.parse(JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8')))
}

const filesOf = (manifest: ImageManifest): string[] =>
  ['manifest.json', manifest.kernel.file, manifest.initrd.file, manifest.rootfs.file].sort()

async function checkFiles(dir: string, manifest: ImageManifest, file: string): Promise<void> {
  const wrong = (what: string): ImageBuildError =>
    new ImageBuildError(`${file} is damaged: ${what}.`, 'Fetch or pack it again.')
  const names = readdirSync(dir).sort()
  if (names.join() !== filesOf(manifest).join()) throw wrong(`it holds ${names.join(', ')}`)
  for (const { file: name, size, digest } of [manifest.kernel, manifest.initrd, manifest.rootfs]) {
    const stat = lstatSync(join(dir, name))
    if (!stat.isFile() || stat.size !== size || (await fileDigest(join(dir, name))) !== digest)
      throw wrong(`${name} is not what the manifest says`)
  }
}
