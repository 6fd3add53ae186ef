import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { buildUi } from '../../build/bundle.ts'
import { repository } from '../support/image.ts'

const LIMIT = 250 * 1000

/** Scripts that the page loads before it can show anything: the entry and what it imports statically. */
function initialScripts(ui: string): string[] {
  const html = readFileSync(join(ui, 'index.html'), 'utf8')
  const found = new Set(
    [...html.matchAll(/(?:src|href)="\.\/(assets\/[^"]+\.js)"/g)].map(([, path]) => path ?? ''),
  )
  for (const path of found) {
    const code = readFileSync(join(ui, path), 'utf8')
    for (const [, next] of code.matchAll(/(?:from|import)\s*["']\.\/([^"']+\.js)["']/g))
      found.add(`assets/${next}`)
  }
  return [...found]
}

describe('the page', () => {
  beforeAll(() => buildUi())

  it('needs at most 250 kB of script, gzipped, before its first view', () => {
    const ui = join(repository, 'dist/ui')
    const scripts = initialScripts(ui)
    const size = scripts.reduce((sum, path) => sum + gzipSync(readFileSync(join(ui, path))).length, 0)
    expect(scripts.length).toBeGreaterThan(0)
    expect(scripts.every((path) => !/chart|settings|logs|diagnostics/.test(path))).toBe(true)
    expect(size).toBeLessThan(LIMIT)
  })

  it("is built for people: without React's warnings for developers", () => {
    const ui = join(repository, 'dist/ui')
    for (const path of initialScripts(ui))
      expect(readFileSync(join(ui, path), 'utf8').includes('unique "key" prop')).toBe(false)
  })
})
