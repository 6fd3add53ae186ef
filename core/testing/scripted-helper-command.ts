import { buildSync } from 'esbuild'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** For children that run our TypeScript as it is. */
export const TSX = ['--import', import.meta.resolve('tsx')]

let bundle: string | null = null

/** Bundled once for each process of tests: it is started by the dozen, and tsx takes longer than most tests. */
function bundled(): string {
  if (bundle !== null) return bundle
  const cache = fileURLToPath(new URL('../../node_modules/.cache/bsm', import.meta.url))
  const own = join(cache, `scripted-helper-${process.pid}.tmp.mjs`)
  buildSync({
    entryPoints: [fileURLToPath(new URL('scripted-helper.ts', import.meta.url))],
    outfile: own,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  })
  // Other test processes make the same one at the same time.
  bundle = join(cache, 'scripted-helper.mjs')
  renameSync(own, bundle)
  return bundle
}

/** How to run the scripted stand-in of a helper; `script` is described there. */
export const scriptedHelper = (script = '') => ({
  command: process.execPath,
  args: [bundled()],
  env: { SCRIPT: script },
})
