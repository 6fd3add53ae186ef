import { existsSync } from 'node:fs'
import type { Signing } from '../../core/protocol/distribution.ts'
import { SetupError } from '../progress.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** What `@electron/notarize` takes; never anything but the environment's. */
export type NotaryCredentials =
  | { appleApiKey: string; appleApiKeyId: string; appleApiIssuer: string }
  | { appleId: string; appleIdPassword: string; teamId: string }
  | { keychainProfile: string; keychain?: string }

export type Plan = {
  signing: Signing
  /** https; null: the app never looks for updates, and no update metadata is made. */
  updateFeed: string | null
} & (
  | { kind: 'release'; teamId: string; credentials: NotaryCredentials; sourceContact: string }
  | { kind: 'development' }
)

export function developmentPlan(env: Environment): Plan {
  return { kind: 'development', signing: { kind: 'ad_hoc' }, updateFeed: feed(env) }
}

/** What a release needs besides the sources. Throws one sentence that names everything that is missing. */
export function releasePlan(env: Environment): Plan {
  const missing: string[] = []
  const teamId = env.APPLE_TEAM_ID ?? ''
  if (!/^[A-Z0-9]{10}$/.test(teamId)) missing.push('APPLE_TEAM_ID: the ten characters of your team')
  const credentials = notaryCredentials(env)
  if (credentials === undefined)
    missing.push(
      'notarization credentials: APPLE_API_KEY with APPLE_API_KEY_ID and APPLE_API_ISSUER,' +
        ' or APPLE_KEYCHAIN_PROFILE, or APPLE_ID with APPLE_APP_SPECIFIC_PASSWORD',
    )
  const sourceContact = env.BSM_SOURCE_CONTACT ?? ''
  if (sourceContact.trim() === '')
    missing.push('BSM_SOURCE_CONTACT: where people ask for the source of the GPL parts, an address or a URL')
  if (missing.length > 0 || credentials === undefined)
    throw new SetupError(
      `A release needs these in the environment:\n${missing.map((line) => `  ${line}\n`).join('')}` +
        'For a build without a certificate: npm run dist:dev. See docs/release.md.',
    )
  return {
    kind: 'release',
    signing: { kind: 'developer_id', team_id: teamId },
    updateFeed: feed(env),
    teamId,
    credentials,
    sourceContact,
  }
}

/** In electron-builder's order: an Apple ID in the environment hides the others from it. */
export function notaryCredentials(env: Environment): NotaryCredentials | undefined {
  const { APPLE_ID, APPLE_APP_SPECIFIC_PASSWORD, APPLE_TEAM_ID } = env
  if (APPLE_ID || APPLE_APP_SPECIFIC_PASSWORD) {
    if (!APPLE_ID || !APPLE_APP_SPECIFIC_PASSWORD || !APPLE_TEAM_ID) return undefined
    return { appleId: APPLE_ID, appleIdPassword: APPLE_APP_SPECIFIC_PASSWORD, teamId: APPLE_TEAM_ID }
  }
  const { APPLE_API_KEY, APPLE_API_KEY_ID, APPLE_API_ISSUER } = env
  if (APPLE_API_KEY || APPLE_API_KEY_ID || APPLE_API_ISSUER) {
    if (!APPLE_API_KEY || !APPLE_API_KEY_ID || !APPLE_API_ISSUER) return undefined
    if (!existsSync(APPLE_API_KEY))
      throw new SetupError(`APPLE_API_KEY is the path of a .p8 file, and there is none: ${APPLE_API_KEY}`)
    return { appleApiKey: APPLE_API_KEY, appleApiKeyId: APPLE_API_KEY_ID, appleApiIssuer: APPLE_API_ISSUER }
  }
  const { APPLE_KEYCHAIN_PROFILE, APPLE_KEYCHAIN } = env
  if (!APPLE_KEYCHAIN_PROFILE) return undefined
  return {
    keychainProfile: APPLE_KEYCHAIN_PROFILE,
    ...(APPLE_KEYCHAIN ? { keychain: APPLE_KEYCHAIN } : {}),
  }
}

function feed(env: Environment): string | null {
  const url = env.BSM_UPDATE_FEED
  if (!url) return null
  if (URL.canParse(url) && new URL(url).protocol === 'https:') return url
  throw new SetupError(`BSM_UPDATE_FEED is an https URL, not ${url}`)
}
