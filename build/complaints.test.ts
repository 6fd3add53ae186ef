import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { root } from './root.ts'

const rows = readFileSync(join(root, 'docs/complaints.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| \d+ /.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim()))

it('has a line for each of the 25 complaints, with what is done about it', () => {
  expect(rows.map(([, number]) => Number(number))).toEqual(Array.from({ length: 25 }, (_, i) => i + 1))
  for (const [, number, complaint, here] of rows) {
    expect(complaint, `complaint ${number}`).toMatch(/\w{3}/)
    expect(here?.length, `complaint ${number}`).toBeGreaterThan(40)
  }
})

it('names tests that are there', () => {
  for (const [, number, , , shown = ''] of rows) {
    // A title may have a semicolon in it; what follows one that parts two tests begins with a path.
    const tests = shown.split(/; (?=`)/).map((test) => /^`([^`]+)` › (.+)$/.exec(test))
    expect(tests.length, `complaint ${number}`).toBeGreaterThan(0)
    for (const test of tests) {
      const [, file = '', title = ''] = test ?? []
      expect(existsSync(join(root, file)), `complaint ${number}: ${shown}`).toBe(true)
      expect(readFileSync(join(root, file), 'utf8'), `complaint ${number}: ${file}`).toContain(title)
    }
  }
})
