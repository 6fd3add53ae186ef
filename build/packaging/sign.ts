import { lstatSync, realpathSync } from 'node:fs'
import { basename, extname, join, relative } from 'node:path'
import { signAsync, type SignOptions } from '@electron/osx-sign'
import { SetupError } from '../progress.ts'
import { run } from '../run.ts'
import { entitlementKeys, entitlementsOf, readEntitlements } from './entitlements.ts'
import { machO } from './mach-o.ts'
import type { Plan } from './plan.ts'
import { HELPER, type Project } from './project.ts'

/** What electron-builder found to sign with; `-` is ad hoc. */
export type Identity = { identity: string; keychain: string | undefined }

/**
 * Signs a bundle inside out: the helper first, alone and once, with its own entitlements; then the frameworks, the
 * Electron helpers and the app, through osx-sign, which is kept off everything that is not code.
 *
 * An ad-hoc signature has no team, and library validation, part of the hardened runtime, would keep such an app from
 * loading its own frameworks: in a development build only the helper, which loads none, is hardened.
 */
export async function signBundle(options: SignOptions, project: Project, plan: Plan): Promise<Identity> {
  const signer: Identity = { identity: options.identity ?? '', keychain: options.keychain }
  const adHoc = plan.kind === 'development'
  if (signer.identity === '' || (signer.identity === '-') !== adHoc)
    throw new SetupError(
      adHoc
        ? 'A development build is signed ad hoc and nothing else.'
        : 'A release is signed with a Developer ID, and there is none in the keychain. See docs/release.md.',
    )
  const bundle = options.app
  const helper = join(bundle, 'Contents/MacOS', HELPER)
  await run('codesign', [
    ...['--sign', signer.identity, '--force'],
    ...(signer.keychain === undefined ? [] : ['--keychain', signer.keychain]),
    adHoc ? '--timestamp=none' : '--timestamp',
    ...['--options', 'runtime', '--identifier', HELPER],
    ...['--entitlements', join(project.entitlements, `${HELPER}.plist`), helper],
  ])
  await run('codesign', ['--verify', '--strict', helper])
  await signAsync({
    ...options,
    platform: 'darwin',
    ignore: (path: string) => path === helper || !isCode(path),
    optionsForFile: (path: string) => ({
      entitlements: join(project.entitlements, entitlementsOf(bundle, path)),
      hardenedRuntime: !adHoc,
      ...(adHoc ? { timestamp: 'none' } : {}),
    }),
  })
  await checkSignatures(bundle, project, plan)
  return signer
}

/** Mach-O files and bundles by their real path: osx-sign also offers data files, and a framework's code by its links. */
function isCode(path: string): boolean {
  if (realpathSync(path) !== path) return false
  if (lstatSync(path).isDirectory()) return ['.app', '.framework'].includes(extname(path))
  return machO(path) !== null
}

/** What has entitlements of its own, with exactly those, under the runtime and by the team that the plan says. */
async function checkSignatures(bundle: string, project: Project, plan: Plan): Promise<void> {
  const helpers = ['', ' (GPU)', ' (Plugin)', ' (Renderer)'].map((kind) =>
    join(bundle, 'Contents/Frameworks', `${basename(bundle, '.app')} Helper${kind}.app`),
  )
  for (const path of [join(bundle, 'Contents/MacOS', HELPER), bundle, ...helpers]) {
    const shown = relative(bundle, path) || basename(bundle)
    const signed = entitlementKeys(await run('codesign', ['--display', '--entitlements', '-', '--xml', path]))
    const wanted = readEntitlements(join(project.entitlements, entitlementsOf(bundle, path)))
    if (signed.join() !== wanted.join())
      throw new SetupError(
        `${shown} is signed with the entitlements [${signed.join(', ')}] instead of [${wanted.join(', ')}].`,
      )
    const details = await run('codesign', ['--display', '--verbose=4', path])
    const team = /^TeamIdentifier=(.*)$/m.exec(details)?.[1] ?? 'not set'
    const expected = plan.kind === 'release' ? plan.teamId : 'not set'
    if (team !== expected)
      throw new SetupError(`${shown} is signed by the team ${team} instead of ${expected}.`)
    const hardened = /flags=0x[0-9a-f]+\([^)]*\bruntime\b[^)]*\)/.test(details)
    if (!hardened && (plan.kind === 'release' || basename(path) === HELPER))
      throw new SetupError(`${shown} is signed without the hardened runtime.`)
  }
}
