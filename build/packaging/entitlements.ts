import { readFileSync } from 'node:fs'
import { basename, relative } from 'node:path'
import plist from 'plist'
import { HELPER, PRODUCT } from './project.ts'

/** The file of `entitlements/` with which a part of the bundle is signed. */
export function entitlementsOf(bundle: string, path: string): string {
  const part = relative(bundle, path)
  if (part === '' || part === `Contents/MacOS/${PRODUCT}`) return 'app.plist'
  if (part === `Contents/MacOS/${HELPER}`) return `${HELPER}.plist`
  const [, kind] = /^Contents\/Frameworks\/[^/]+ Helper(?: \((\w+)\))?\.app(?:\/|$)/.exec(part) ?? [
    part,
    null,
  ]
  switch (kind) {
    case 'Renderer':
      return 'electron-renderer.plist'
    case 'GPU':
      return 'electron-gpu.plist'
    case 'Plugin':
    case undefined:
      return 'electron-helper.plist'
    case null:
      return 'electron-framework.plist'
    default:
      throw new Error(`${basename(path)}: no entitlements are written down for this kind of Electron helper`)
  }
}

/**
 * Keys of the entitlements plist in what a tool printed, beside other lines of its own; none when there is no plist.
 * A value other than true is not ours, and shown with its key.
 */
export function entitlementKeys(printed: string): string[] {
  const xml = /<\?xml[\s\S]*<\/plist>/.exec(printed)?.[0]
  if (xml === undefined) return []
  const parsed = plist.parse(xml)
  if (typeof parsed !== 'object' || Array.isArray(parsed)) return ['not a dictionary']
  return Object.entries(parsed)
    .map(([key, value]) => (value === true ? key : `${key}=${JSON.stringify(value)}`))
    .sort()
}

export const readEntitlements = (file: string): string[] => entitlementKeys(readFileSync(file, 'utf8'))
