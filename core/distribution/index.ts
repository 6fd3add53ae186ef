import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileError } from '../files.ts'
import { BsmError, Distribution } from '../protocol/index.ts'
import { checkGuestImage } from './guest-image.ts'
import { checkHelperSignature } from './helper-signature.ts'

export { checkGuestImage } from './guest-image.ts'
export { checkHelperSignature, type RunTool } from './helper-signature.ts'
export { dropOverrides } from './overrides.ts'

/** Reads `distribution.json` in `directory`, the app's own archive. Throws when there is none: it is part of the app. */
export function loadDistribution(directory: string): Distribution {
  const path = join(directory, 'distribution.json')
  try {
    return Distribution.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch (error) {
    const { message } = fileError(error, `read ${path}`)
    throw new BsmError('INTERNAL_BUG', 'app', message, {
      nextStep: 'Install the app again from its disk image.',
      cause: error,
    })
  }
}

/** What an app checks before it starts a helper: the helper's signature, then the image it would boot. */
export async function checkParts(parts: {
  readonly distribution: Distribution
  readonly helper: string
  readonly imageDir: string
  readonly recipe: string
}): Promise<void> {
  await checkHelperSignature(parts.helper, parts.distribution.signing)
  await checkGuestImage(parts.imageDir, parts.recipe, parts.distribution)
}
