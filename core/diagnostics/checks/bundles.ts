import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'
import type { Check } from '../check.ts'

const BUILT = ['bsm.mjs', 'bsm-qemu-helper.mjs', 'bsm-launcher', 'ui/index.html'] as const

export const bundles: Check = {
  id: 'bundles',
  title: 'programs',
  async run({ root }) {
    if (root === null) return null
    const missing: string[] = []
    for (const file of BUILT) {
      const mode = file.startsWith('ui/') ? constants.R_OK : constants.X_OK
      await access(join(root, 'dist', file), mode).catch(() => missing.push(`dist/${file}`))
    }
    if (missing.length === 0) return { status: 'ok', message: `helper, launcher, bsm and page are built` }
    return { status: 'fail', message: `not built: ${missing.join(', ')}`, remedy: 'npm run build' }
  },
}
