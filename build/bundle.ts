import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { build as esbuild } from 'esbuild'
import { ifChanged } from './if-changed.ts'
import { root } from './root.ts'
import { run } from './run.ts'
import { writeTrayImages } from './tray-images.ts'

/** CommonJS packages inside an ESM bundle still ask for `require`. */
const REQUIRE =
  "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);"

async function node(entry: string, outfile: string): Promise<void> {
  await esbuild({
    entryPoints: [join(root, entry)],
    outfile: join(root, outfile),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'linked',
    logLevel: 'silent',
    legalComments: 'none',
    external: ['bufferutil', 'utf-8-validate'],
    banner: { js: `#!/usr/bin/env node\n${REQUIRE}` },
  })
  chmodSync(join(root, outfile), 0o755)
}

const SHARED = ['core/protocol', 'package-lock.json', 'build/bundle.ts']

export const buildHelper = () =>
  ifChanged(
    'bsm-qemu-helper',
    { inputs: ['helper/qemu', ...SHARED], outputs: ['dist/bsm-qemu-helper.mjs'] },
    () => node('helper/qemu/main.ts', 'dist/bsm-qemu-helper.mjs'),
  )

export const buildCli = () =>
  ifChanged('bsm', { inputs: ['cli', 'client', 'core', ...SHARED], outputs: ['dist/bsm.mjs'] }, () =>
    node('cli/main.ts', 'dist/bsm.mjs'),
  )

/** The menu-bar app: CommonJS, for a sandboxed preload script can be nothing else, and Electron's `ready` waits for it. */
export const buildElectron = () =>
  ifChanged(
    'electron',
    {
      inputs: ['electron', 'core', ...SHARED],
      outputs: ['dist/electron/main.cjs', 'dist/electron/preload.cjs'],
    },
    async () => {
      await Promise.all(
        ['main', 'preload'].map((name) =>
          esbuild({
            entryPoints: [join(root, `electron/${name}.ts`)],
            outfile: join(root, `dist/electron/${name}.cjs`),
            bundle: true,
            platform: 'node',
            format: 'cjs',
            // Electron 45 brings a newer one; the tests run it on ours.
            target: 'node20',
            sourcemap: name === 'main' ? 'linked' : false,
            logLevel: 'silent',
            legalComments: 'none',
            // The last three are asked for in case they are there, and are not needed.
            external: ['electron', 'bufferutil', 'utf-8-validate', 'supports-color'],
          }),
        ),
      )
    },
  )

export const buildTrayImages = () =>
  ifChanged(
    'tray-images',
    {
      inputs: ['build/tray-images.ts', 'build/png.ts'],
      outputs: ['dist/electron/tray/readyTemplate.png', 'dist/electron/tray/readyTemplate@2x.png'],
    },
    async () => writeTrayImages(),
  )

export const buildLauncher = () =>
  ifChanged(
    'bsm-launcher',
    { inputs: ['helper/qemu/launcher', 'build/bundle.ts'], outputs: ['dist/bsm-launcher'] },
    async () => {
      await run(
        'go',
        [
          'build',
          '-trimpath',
          '-buildvcs=false',
          '-ldflags=-s -w',
          '-o',
          join(root, 'dist/bsm-launcher'),
          '.',
        ],
        {
          cwd: join(root, 'helper/qemu/launcher'),
          env: { CGO_ENABLED: '0', GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local' },
        },
      )
    },
  )

export const buildUi = () =>
  ifChanged('ui', { inputs: ['renderer', ...SHARED], outputs: ['dist/ui/index.html'] }, async () => {
    const { build } = await import('vite')
    // A test runner sets another, with which Vite would make, and leave for everybody, a page for developers.
    const { NODE_ENV } = process.env
    process.env.NODE_ENV = 'production'
    try {
      await build({ configFile: join(root, 'renderer/vite.config.ts'), logLevel: 'error' })
    } finally {
      if (NODE_ENV === undefined) delete process.env.NODE_ENV
      else process.env.NODE_ENV = NODE_ENV
    }
  })
