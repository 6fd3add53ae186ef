import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { notarize } from '@electron/notarize'
import { Arch, build, Platform, type AfterPackContext, type Configuration } from 'electron-builder'
import plist from 'plist'
import type { Distribution } from '../../core/protocol/distribution.ts'
import { SetupError, type Log } from '../progress.ts'
import { run } from '../run.ts'
import { inspectBundle, transportSecurity } from './inspect.ts'
import type { Plan } from './plan.ts'
import { PRODUCT, type Project } from './project.ts'
import { signBundle, type Identity } from './sign.ts'

export type Target = 'dmg' | 'zip' | 'dir'

export type PackageOptions = {
  targets: readonly Target[]
  /** Folder with an `Electron.app`, instead of the download that electron-builder makes and checks. */
  electronDist?: string
  log: Log
}

/**
 * Runs electron-builder over what was staged: bundle, fuses, signature, notarization, zip and disk image, in this
 * order. Everything that is not as listed stops it before it is signed. Returns the paths of what was made.
 */
export async function packageApp(
  project: Project,
  distribution: Distribution,
  plan: Plan,
  { targets, electronDist, log }: PackageOptions,
): Promise<string[]> {
  rmSync(project.release, { recursive: true, force: true })
  let signer: Identity | null = null
  // For a pull request electron-builder signs nothing, to keep secrets from strangers; an ad-hoc signature has none.
  if (plan.kind === 'development') process.env['CSC_FOR_PULL_REQUEST'] = 'true'
  const config: Configuration = {
    extends: project.config,
    ...(electronDist === undefined ? {} : { electronDist }),
    publish: plan.updateFeed === null ? null : { provider: 'generic', url: plan.updateFeed },
    mac: {
      // A release leaves it open: electron-builder looks for the Developer ID in the keychain.
      ...(plan.kind === 'development' ? { identity: '-' } : {}),
      notarize: plan.kind === 'release',
      hardenedRuntime: plan.kind === 'release',
      sign: async (options) => {
        await inspectBundle(options.app, project, distribution)
        log('signing the helper, then the app inside out')
        signer = await signBundle(options, project, plan)
        if (plan.kind === 'release') log('notarizing the app: Apple takes minutes')
      },
    },
    // The bundles hold what they need: no package is looked for, built or copied.
    beforeBuild: () => Promise.resolve(false),
    afterPack: (context) => mendBundle(context, plan),
    // With a signing hook of one's own, electron-builder goes on without a word where it finds no certificate,
    // whatever `forceCodeSigning` says.
    afterSign: () => {
      if (process.platform === 'darwin' && signer === null)
        throw new SetupError(
          'There is no Developer ID Application certificate in the keychain: nothing was signed. See docs/release.md.',
        )
    },
    artifactBuildCompleted: async ({ file }) => {
      if (plan.kind !== 'release' || !file.endsWith('.dmg')) return
      if (signer === null) throw new SetupError('The disk image was made before the app was signed.')
      log('signing and notarizing the disk image')
      await signImage(file, signer, plan)
    },
  }
  const made = await build({
    projectDir: project.root,
    config,
    publish: 'never',
    targets: Platform.MAC.createTarget([...targets], Arch.arm64),
  })
  await inspectBundle(project.bundle, project, distribution)
  return made
}

/** Before fuses and signature: electron-builder has opened every host to plain HTTP, and we close them again. */
function mendBundle({ appOutDir }: AfterPackContext, plan: Plan): Promise<void> {
  const path = join(appOutDir, `${PRODUCT}.app`, 'Contents/Info.plist')
  const info = { ...Object.fromEntries(Object.entries(plist.parse(readFileSync(path, 'utf8')))) }
  info.NSAppTransportSecurity = transportSecurity(plan.updateFeed)
  writeFileSync(path, plist.build(info as plist.PlistObject))
  return Promise.resolve()
}

/** The image's own signature and ticket: what Gatekeeper looks at first, also without a network. */
async function signImage(image: string, { identity, keychain }: Identity, plan: Plan): Promise<void> {
  if (plan.kind !== 'release') return
  await run('codesign', [
    ...['--sign', identity, '--force', '--timestamp'],
    ...(keychain === undefined ? [] : ['--keychain', keychain]),
    image,
  ])
  await notarize({ appPath: image, ...plan.credentials })
}
