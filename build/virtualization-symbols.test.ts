import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { root } from './root.ts'

const table = readFileSync(join(root, 'docs/virtualization-symbols.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| `') || line.startsWith('| code'))
const listed = table.map((line) => line.split('|')[1] ?? '').join(' ')

/** Without comments: those may name what is not used. */
function sources(folder: string): string {
  const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
  return files
    .filter((file) => file.endsWith('.swift'))
    .map((file) => readFileSync(join(root, folder, file), 'utf8').replace(/^\s*\/\/.*$|\s\/\/\s.*$/gm, ''))
    .join('\n')
}
const helper = sources('helper/vz/Sources/BSMHelperCore') + sources('helper/vz/Sources/bsm-vz-helper')
const standIn = sources('helper/vz/Sources/VirtualizationStandIn')

const types = (text: string) => new Set([...text.matchAll(/\bVZ[A-Z]\w+/g)].map(([name]) => name))
/** `.name` in the table's first column. */
const members = new Set([...listed.matchAll(/`\.(\w+)/g)].map((match) => match[1] ?? ''))

it('lists every type of the framework that the helper names', () => {
  expect([...types(helper)].filter((name) => !types(listed).has(name))).toEqual([])
})

it('lists no type that nothing uses', () => {
  const implied = new Set(['VZDiskImageSynchronizationMode', 'VZDiskImageCachingMode'])
  expect([...types(listed)].filter((name) => !types(helper).has(name) && !implied.has(name))).toEqual([])
})

it('lists only members that the helper uses and the stand-in declares', () => {
  const notUsed = [...members].filter((name) => !new RegExp(`\\b${name}\\b`).test(helper))
  const notDeclared = [...members].filter(
    (name) => !new RegExp(`(var|let|func|case) ${name}\\b`).test(standIn),
  )
  expect({ notUsed, notDeclared }).toEqual({ notUsed: [], notDeclared: [] })
})

it('says of every symbol where it is declared, since when, and what guards it', () => {
  expect(table.length).toBeGreaterThan(20)
  for (const line of table) {
    const [, , header = '', since = '', guard = ''] = line.split('|').map((cell) => cell.trim())
    expect(header, line).toMatch(/^`VZ\w+\.h`$/)
    expect(since, line).toMatch(/^1[1-4]\.0/)
    expect(guard, line).not.toBe('')
    // Whatever is newer than the deployment target names its guard.
    if (!since.startsWith('11.0')) expect(guard, line).toMatch(/`\w+|numbers/)
  }
})
