import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join, sep } from 'node:path'
import { ImageBuildError } from './error.ts'
import type { Package } from './packages.ts'
import { type Recipe, matcher } from './recipe.ts'
import { run } from './run.ts'

/** The one time in every image: 2024-01-01T00:00:00Z. */
export const EPOCH = 1_704_067_200
const UUID = '6272616e-7374-6f72-6d2d-73616e64626f'
const SANDBOX = 1000

const FOLDERS: [string, number][] = [
  ['dev', 0o755],
  ['disk', 0o755],
  ['etc', 0o755],
  ['home', 0o755],
  ['home/sandbox', 0o755],
  ['proc', 0o555],
  ['root', 0o700],
  ['run', 0o755],
  ['sys', 0o555],
  ['tmp', 0o1777],
  ['usr', 0o755],
  ['usr/bin', 0o755],
  ['usr/lib', 0o755],
  ['usr/local', 0o755],
  ['usr/local/bin', 0o755],
  ['usr/sbin', 0o755],
  ['var', 0o755],
  ['var/tmp', 0o1777],
]

const FILES: Record<string, string> = {
  'etc/group': 'root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n',
  'etc/hostname': 'sandbox\n',
  'etc/hosts': '127.0.0.1 localhost sandbox\n::1 localhost\n',
  'etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files\n',
  'etc/passwd':
    'root:x:0:0:root:/root:/bin/sh\nsandbox:x:1000:1000:sandbox:/home/sandbox:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n',
}

/**
 * Unpacks the packages and our own files into `tree`, in the layout of a merged /usr. Every mode is set, none is left to
 * the umask of whoever builds.
 */
export async function populate(
  tree: string,
  recipe: Recipe,
  packages: readonly Package[],
  scratch: string,
): Promise<void> {
  chmodSync(tree, 0o755)
  for (const [path, mode] of FOLDERS) makeFolder(join(tree, path), mode)
  for (const name of ['bin', 'lib', 'sbin']) symlinkSync(`usr/${name}`, join(tree, name))
  const dropped = matcher(recipe.drop)
  for (const pkg of packages) {
    const unpacked = join(scratch, pkg.name)
    mkdirSync(unpacked)
    await run('dpkg-deb', ['-x', pkg.file, unpacked])
    merge(unpacked, '', tree, dropped, recipe.keep)
    rmSync(unpacked, { recursive: true })
  }
  for (const [path, text] of Object.entries(FILES)) put(tree, path, text, 0o644)
  for (const [path, file] of Object.entries(recipe.files)) put(tree, path, file.text, file.mode)
  for (const applet of recipe.busybox) {
    const link = join(tree, 'usr/bin', applet)
    if (lstatSync(link, { throwIfNoEntry: false }) === undefined) symlinkSync('busybox', link)
  }
}

function makeFolder(path: string, mode = 0o755): void {
  mkdirSync(path)
  chmodSync(path, mode)
}

/**
 * Makes a folder of the tree unless it is there. Links in the tree are meant for the guest: an absolute one, followed
 * here, leads into the building machine.
 */
function enter(tree: string, folder: string): void {
  if (lstatSync(folder, { throwIfNoEntry: false }) === undefined) makeFolder(folder)
  const real = existsSync(folder) ? realpathSync(folder) : ''
  if (!real.startsWith(realpathSync(tree) + sep))
    throw new ImageBuildError(
      `A file of the recipe or of a package would not be in the guest: a link leads from ${folder.slice(tree.length)} out of it.`,
      'Leave the link out (`drop`), or give the file another path.',
    )
}

/** Puts a file of ours into the tree, in the place of a package's file or link. */
function put(tree: string, path: string, text: string, mode: number): void {
  const names = path.split('/').filter((name) => name !== '' && name !== '.')
  for (let depth = 1; depth < names.length; depth++) enter(tree, join(tree, ...names.slice(0, depth)))
  const target = join(tree, ...names)
  rmSync(target, { force: true })
  writeFileSync(target, text)
  chmodSync(target, mode)
}

/** /bin, /sbin and /lib of a package go where the links point. */
const merged = (path: string): string => path.replace(/^\/(bin|sbin|lib)(?=\/|$)/, '/usr/$1')

function merge(
  from: string,
  path: string,
  tree: string,
  dropped: (path: string) => boolean,
  kept: Recipe['keep'],
): void {
  for (const name of readdirSync(join(from, path)).sort()) {
    const inside = `${path}/${name}`
    const source = join(from, inside)
    const place = merged(inside)
    if (dropped(place)) continue
    const stat = lstatSync(source)
    const target = join(tree, place)
    if (stat.isDirectory()) {
      if (kept && !kept.some((keep) => keep === place || keep.startsWith(place + '/'))) continue
      enter(tree, target)
      merge(from, inside, tree, dropped, kept)
      continue
    }
    if (kept && !kept.includes(place)) continue
    rmSync(target, { force: true })
    if (stat.isSymbolicLink()) symlinkSync(readlinkSync(source), target)
    else if (stat.isFile()) {
      copyFileSync(source, target)
      chmodSync(target, stat.mode & 0o755) // no setuid: it would mean nothing under no_new_privs
    } else cpSync(source, target)
  }
}

/** Makes the ext4 image of `tree`; the same tree gives the same bytes. */
export async function makeDisk(tree: string, disk: string, sizeMib: number): Promise<void> {
  const env = { E2FSPROGS_FAKE_TIME: String(EPOCH), MKE2FS_SYNC: '0' }
  await run(
    'mke2fs',
    [
      '-q',
      '-t',
      'ext4',
      '-d',
      tree,
      '-O',
      '^has_journal,^metadata_csum_seed,^resize_inode,^orphan_file',
      '-m',
      '0',
      '-L',
      'sandbox',
      '-U',
      UUID,
      '-E',
      `hash_seed=${UUID},lazy_itable_init=0,root_owner=0:0`,
      '-I',
      '256',
      disk,
      `${String(sizeMib)}M`,
    ],
    { env },
  )
  // mke2fs takes owners and times from the building machine's files: set them all.
  const time = '@' + String(EPOCH)
  const script = ['/', '/lost+found', ...paths(tree, '')].flatMap((path) => {
    const owner = path === '/home/sandbox' || path.startsWith('/home/sandbox/') ? SANDBOX : 0
    return [
      ...['atime', 'ctime', 'mtime', 'crtime'].map((field) => `sif "${path}" ${field} ${time}`),
      ...['atime_extra', 'ctime_extra', 'mtime_extra', 'crtime_extra'].map(
        (field) => `sif "${path}" ${field} 0`,
      ),
      `sif "${path}" uid ${String(owner)}`,
      `sif "${path}" gid ${String(owner)}`,
    ]
  })
  await run('debugfs', ['-w', '-f', '-', disk], { env, input: script.join('\n') + '\n' })
}

function paths(tree: string, path: string): string[] {
  return readdirSync(join(tree, path), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const inside = `${path}/${entry.name}`
      return entry.isDirectory() ? [inside, ...paths(tree, inside)] : [inside]
    })
}
