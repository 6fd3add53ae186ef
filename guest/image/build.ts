import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import * as z from 'zod'
import { ToolSpec } from '../../core/protocol/image.ts'
import { Apt, type Log } from './apt.ts'
import { readBuilt, stampText } from './built.ts'
import { digest, fileDigest, treeDigest } from './digest.ts'
import { ImageBuildError } from './error.ts'
import { makeInitrd } from './initrd.ts'
import { interruptible } from './interrupt.ts'
import {
  CMDLINE,
  type Identity,
  type Input,
  type Manifest,
  type Part,
  type Tool,
  imageDigest,
} from './manifest.ts'
import { type Package, lockedPackages } from './packages.ts'
import { packImage, readCommitted, record, takeImage } from './published.ts'
import { type Recipe, guestDir, matcher, readRecipe } from './recipe.ts'
import { beside, replaceFolder, sweep } from './replace.ts'
import { makeDisk, populate } from './rootfs.ts'
import { run } from './run.ts'
import { GO_ENV, GO_PACKAGE, toolInputs } from './toolchain.ts'

export { ImageBuildError } from './error.ts'

const IMAGE_VERSION = '0.1.0'
/** Depends on the kernel of the day, under another name with every version of Debian. */
const KERNEL = 'linux-image-cloud-arm64'
const isKernel = (name: string): boolean => /^linux-(?:image|binary|modules)-\d/.test(name)

export type Variant = 'product' | 'test'

export interface BuildOptions {
  /** `base`, `python` or the path of a recipe file. */
  recipe: string
  /** The image's folder; default `out/guest/<recipe>`, with `-test` for the test variant. */
  out?: string
  log?: Log
  /** `test` adds a root tool and TestPlant: never ship it. */
  variant?: Variant
  /** Ask apt for newer packages. */
  update?: boolean
  /** Build even if nothing changed. */
  force?: boolean
}

export interface BuildResult {
  dir: string
  manifest: Manifest
  rebuilt: boolean
}

/**
 * Builds the guest image unless the one in `out` was made of the same inputs (by content, never by file time) and has
 * the bytes that its manifest names. Ctrl-C and TERM leave nothing half-made. Throws ImageBuildError.
 */
export function buildImage(options: BuildOptions): Promise<BuildResult> {
  return interruptible(() => buildWhereNeeded(options))
}

async function buildWhereNeeded(options: BuildOptions): Promise<BuildResult> {
  const log = options.log ?? (() => undefined)
  const variant = options.variant ?? 'product'
  const recipe = readRecipe(options.recipe)
  const root = resolve(guestDir, '..')
  const dir = resolve(
    options.out ?? join(root, 'out/guest', recipe.name + (variant === 'test' ? '-test' : '')),
  )
  const cache = join(root, 'out/cache/apt-arm64')
  const apt = new Apt(cache, log)
  const update = options.update ?? false
  const excluded = matcher(recipe.exclude)

  const kernel = await lockedPackages(cache, KERNEL, update, () => apt.fetch([KERNEL], isKernel, update))
  const packages = await lockedPackages(cache, [recipe.packages, recipe.exclude], update, () =>
    apt.fetch(recipe.packages, (name) => !excluded(name), update),
  )
  const identity = await identify(recipe, variant, [...kernel, ...packages])
  const stamp = digest(
    JSON.stringify({ identity, CMDLINE, digests: [...kernel, ...packages].map((p) => p.digest) }),
  )
  sweep(dir)
  if (options.force !== true) {
    const built = await readBuilt(dir, stamp)
    if (built && 'manifest' in built) return { dir, manifest: built.manifest, rebuilt: false }
    if (built) log(`building anew: ${'spoiled' in built ? built.spoiled : 'an input changed'}`)
  }

  const scratch = beside(dir, 'building')
  rmSync(scratch, { recursive: true, force: true })
  mkdirSync(scratch, { recursive: true })
  try {
    const manifest = await build(scratch, recipe, variant, kernel, packages, identity, log)
    const manifestText = JSON.stringify(manifest, undefined, 2) + '\n'
    writeFileSync(join(scratch, 'image/manifest.json'), manifestText)
    writeFileSync(join(scratch, 'image/stamp'), stampText(stamp, manifestText))
    replaceFolder(join(scratch, 'image'), dir)
    return { dir, manifest, rebuilt: true }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

async function identify(recipe: Recipe, variant: Variant, packages: readonly Package[]): Promise<Identity> {
  const inputs: Input[] = [
    { name: 'guest', version: IMAGE_VERSION, digest: treeDigest(guestDir, (path) => isGuestSource(path)) },
    {
      name: 'image-build',
      version: IMAGE_VERSION,
      digest: treeDigest(
        join(guestDir, 'image'),
        (path) => path.endsWith('.ts') && !path.endsWith('.test.ts'),
      ),
    },
    { name: `recipe:${recipe.name}`, version: variant, digest: digest(JSON.stringify(recipe)) },
    ...(await toolInputs(guestDir, goTags(variant))),
    ...packages.map(({ name, version, digest }) => ({ name: `deb:${name}`, version, digest })),
  ]
  return { image_version: IMAGE_VERSION, recipe: recipe.name, inputs, tools: readTools(variant) }
}

const isGuestSource = (path: string): boolean =>
  path === 'go.mod' || (/^(cmd|internal)\/.*\.(go|s|json)$/.test(path) && !path.endsWith('_test.go'))

const goTags = (variant: Variant): string[] => (variant === 'test' ? ['-tags', 'bsmtest'] : [])

function readTools(variant: Variant): Tool[] {
  const read = (name: string) =>
    z.array(ToolSpec).parse(JSON.parse(readFileSync(join(guestDir, 'internal/tools', name), 'utf8')))
  return [...read('tools.json'), ...(variant === 'test' ? read('tools.test.json') : [])]
}

async function build(
  scratch: string,
  recipe: Recipe,
  variant: Variant,
  kernel: readonly Package[],
  packages: readonly Package[],
  identity: Identity,
  log: Log,
): Promise<Manifest> {
  const step = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const start = Date.now()
    const result = await work()
    log(`${what} in ${String(Date.now() - start)} ms`)
    return result
  }
  const image = join(scratch, 'image')
  for (const { name, file, digest: known } of [...kernel, ...packages]) {
    if ((await fileDigest(file)) !== known) {
      throw new ImageBuildError(
        `The cached package ${name} has changed since it was fetched.`,
        `Delete ${file} and run the same command again.`,
      )
    }
  }
  for (const sub of ['image', 'tree', 'unpack', 'kernel']) mkdirSync(join(scratch, sub))
  const image_digest = imageDigest(identity)

  const init = join(scratch, 'init')
  const [kernelTree] = await allEnded([
    step('kernel unpacked', async () => {
      for (const pkg of kernel) await run('dpkg-deb', ['-x', pkg.file, join(scratch, 'kernel')])
      return join(scratch, 'kernel')
    }),
    step('guest binary compiled', () => compile(init, variant)),
    step('rootfs made', async () => {
      await populate(join(scratch, 'tree'), recipe, packages, join(scratch, 'unpack'))
      await makeDisk(join(scratch, 'tree'), join(image, 'rootfs.img'), recipe.size_mib)
    }),
  ])
  const vmlinuz = readdirSync(join(kernelTree, 'boot')).find((name) => name.startsWith('vmlinuz-'))
  if (vmlinuz === undefined)
    throw new ImageBuildError(
      'The kernel package has no boot/vmlinuz.',
      'This version builds with the kernels of Debian 12 and 13.',
    )
  writeFileSync(join(image, 'Image'), readFileSync(join(kernelTree, 'boot', vmlinuz)))
  const own = JSON.stringify({ image_version: IMAGE_VERSION, image_digest })
  writeFileSync(join(image, 'initrd.img'), await makeInitrd(readFileSync(init), kernelTree, own))

  const part = async (file: string): Promise<Part> => ({
    file,
    size: statSync(join(image, file)).size,
    digest: await fileDigest(join(image, file)),
  })
  return {
    schema: 'bsm-image/1',
    image_version: IMAGE_VERSION,
    recipe: recipe.name,
    arch: 'arm64',
    image_digest,
    kernel: await part('Image'),
    initrd: await part('initrd.img'),
    rootfs: await part('rootfs.img'),
    cmdline: CMDLINE,
    tools: identity.tools,
    inputs: identity.inputs,
  }
}

/** Promise.all that rejects only once nothing is at work any more: what comes next clears the ground. */
async function allEnded<T extends readonly unknown[]>(work: {
  [K in keyof T]: Promise<T[K]>
}): Promise<T> {
  await Promise.allSettled(work)
  return (await Promise.all(work)) as unknown as T
}

async function compile(out: string, variant: Variant): Promise<void> {
  const exact = ['-trimpath', '-buildvcs=false', '-ldflags', '-s -w -buildid=']
  await run('go', ['build', ...goTags(variant), ...exact, '-o', out, GO_PACKAGE], {
    cwd: guestDir,
    env: GO_ENV,
  })
}

const USAGE = `Usage: npm run guest -- [options]
  --recipe NAME|FILE   base (default), python, or the path of a recipe file
  --out FOLDER         where the image goes; default out/guest/<recipe>
  --variant product|test
                       test adds a root tool for the project's own tests: never ship it
  --update             ask apt for newer packages
  --force              build even if nothing changed
  --pack FILE          also writes the image into one file, for a machine that cannot build it
  --record             also records its digest in guest/published.json, as that of the image of releases
  --from FILE          builds nothing: takes what --pack wrote, checked against the recorded digest
  --digest DIGEST      with --from: checked against this one instead, as --pack printed it
  --help               this text
See docs/guest-image.md.
`

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        recipe: { type: 'string', default: 'base' },
        out: { type: 'string' },
        variant: { type: 'string', default: 'product' },
        update: { type: 'boolean', default: false },
        force: { type: 'boolean', default: false },
        pack: { type: 'string' },
        record: { type: 'boolean', default: false },
        from: { type: 'string' },
        digest: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    return { ...values, variant: z.enum(['product', 'test']).parse(values.variant) }
  } catch (cause) {
    if (!(cause instanceof TypeError || cause instanceof z.ZodError)) throw cause
    const why = cause instanceof TypeError ? cause.message : '--variant is product or test.'
    throw new ImageBuildError(`${why}\n`, USAGE, { cause })
  }
}

async function main(): Promise<void> {
  const { help, out, pack, record: recorded, from, digest: expected, ...options } = readOptions()
  if (help) {
    process.stdout.write(USAGE)
    return
  }
  const start = Date.now()
  const log = (line: string) => process.stderr.write(`guest: ${line}\n`)
  if (from !== undefined) {
    const dir = resolve(out ?? join(guestDir, '../out/guest', options.recipe))
    await takeImage({ file: from, dir, digest: expected ?? readCommitted(options.recipe) })
    log(`took ${from} into ${dir}`)
    return
  }
  if (process.platform !== 'linux')
    throw new ImageBuildError(
      'A guest image is built on Linux.',
      'Take one that was built there: npm run guest -- --from FILE.',
    )
  const result = await buildImage({ ...options, log, ...(out === undefined ? {} : { out }) })
  log(`${result.rebuilt ? 'built' : 'nothing changed in'} ${result.dir} (${String(Date.now() - start)} ms)`)
  if (pack !== undefined) log(`packed into ${pack}, --digest ${await packImage(result.dir, pack)}`)
  if (recorded) log(`recorded ${await record(result.dir)} in guest/published.json`)
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === import.meta.filename) {
  main().catch((error: unknown) => {
    if (!(error instanceof ImageBuildError)) throw error
    process.stderr.write(`guest: ${error.message.trimEnd()}\n`)
    process.exitCode = 1
  })
}
