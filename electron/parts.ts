import { join } from 'node:path'
import { locateHelper } from '../core/index.ts'

/** Where the app's parts lie: beside the sources while it is developed, inside the bundle when it is packaged. */
export interface Parts {
  /** The built page, the preload script, the images of the tray: part of the app's own archive. */
  readonly ui: string
  readonly preload: string
  readonly trayImages: string
  readonly imageDir: string
  readonly helper: { readonly command: string; readonly args: readonly string[] }
}

interface Place {
  readonly packaged: boolean
  /** The checkout, or `app.asar`. */
  readonly appPath: string
  /** `Contents/Resources` of the bundle. */
  readonly resourcesPath: string
  readonly platform: NodeJS.Platform
  readonly env: Readonly<Record<string, string | undefined>>
}

/**
 * Nothing of it can be chosen by an environment once the app is packaged; until then the helper can, as it can for
 * `bsm up`. Throws as `locateHelper` does.
 */
export function locateParts({ packaged, appPath, resourcesPath, platform, env }: Place): Parts {
  const own = {
    ui: join(appPath, 'dist', 'ui'),
    preload: join(appPath, 'dist', 'electron', 'preload.cjs'),
    trayImages: join(appPath, 'dist', 'electron', 'tray'),
  }
  if (packaged)
    return {
      ...own,
      imageDir: join(resourcesPath, 'guest'),
      helper: { command: join(resourcesPath, '..', 'MacOS', 'bsm-vz-helper'), args: [] },
    }
  return {
    ...own,
    imageDir: join(appPath, 'out', 'guest'),
    // The Node that ran `npm start`: Electron's own program is no Node unless it is told to be.
    helper: locateHelper(undefined, appPath, { platform, env, node: env['npm_node_execpath'] ?? 'node' }),
  }
}
