import { constants } from 'node:fs'
import { open, realpath } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'
import { errnoOf } from '../files.ts'

interface StaticFile {
  readonly type: string
  readonly bytes: Buffer
}

/** What a page is made of; anything else is not served. */
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.json': 'application/json',
}
const MAX_BYTES = 16 * 1024 * 1024

/** The file that a request's path names inside `directory`, or null. Links that lead out of it lead nowhere. */
export async function readStatic(directory: string, urlPath: string): Promise<StaticFile | null> {
  const relative = relativePath(urlPath)
  const type = relative === null ? undefined : TYPES[extname(relative)]
  if (relative === null || type === undefined) return null
  try {
    const root = await realpath(directory)
    const path = await realpath(join(root, relative))
    if (!path.startsWith(root + sep)) return null
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    try {
      const stat = await file.stat()
      return stat.isFile() && stat.size <= MAX_BYTES ? { type, bytes: await file.readFile() } : null
    } finally {
      await file.close()
    }
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR', 'ENAMETOOLONG'].includes(errnoOf(error) ?? '')) return null
    throw error
  }
}

/** Decoded once, in plain segments only: no dots that climb, no hidden files, no bytes with a meaning elsewhere. */
function relativePath(urlPath: string): string | null {
  let path: string
  try {
    path = decodeURIComponent(urlPath.split('?', 1)[0] ?? '')
  } catch {
    return null
  }
  if (path === '/') return 'index.html'
  const segments = path.split('/').slice(1)
  const plain = (segment: string): boolean => /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(segment)
  return path.startsWith('/') && segments.every(plain) ? segments.join('/') : null
}
