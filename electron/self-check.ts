import { checkParts } from '../core/index.ts'
import { BsmError, type Distribution } from '../core/protocol/index.ts'
import type { Parts } from './parts.ts'

/** Given on the command line of a packaged app: it checks its parts as before a start, says so, and ends. */
export const SELF_CHECK = '--self-check'

/** One JSON line for whoever asked; true when helper and images are those that the app was built with. */
export async function selfCheck(
  version: string,
  { helper, imageDir }: Pick<Parts, 'helper' | 'imageDir'>,
  distribution: Distribution | null,
  write: (line: string) => void,
  check = checkParts,
): Promise<boolean> {
  try {
    if (distribution === null)
      throw new BsmError('BOOT_CONFIG_INVALID', 'app', 'Only an app in its bundle can check its parts.', {
        nextStep: 'Start the app from where it is installed.',
      })
    const recipes = Object.keys(distribution.guest)
    for (const recipe of recipes) await check({ distribution, helper: helper.command, imageDir, recipe })
    write(`${JSON.stringify({ ok: true, version, images: recipes })}\n`)
    return true
  } catch (thrown) {
    write(`${JSON.stringify({ ok: false, version, error: BsmError.from(thrown, 'app').toWire() })}\n`)
    return false
  }
}
