import { Linter } from 'eslint'
import { describe, expect, it } from 'vitest'
import { importTable } from './eslint-import-table.js'
import { root } from './root.ts'
import { join } from 'node:path'

const TABLE = { core: [], 'core/protocol': [], cli: ['core'] }

function lint(file: string, code: string): string[] {
  const linter = new Linter({ cwd: root })
  return linter
    .verify(
      code,
      {
        plugins: { house: { rules: { 'import-table': importTable } } },
        rules: { 'house/import-table': ['error', TABLE] },
      },
      join(root, file),
    )
    .map(({ message }) => message)
}

describe('the import table', () => {
  it('forbids what is not in the row', () => {
    expect(lint('core/app.js', "import '../cli/run.js'")).toEqual([
      'core/ may import of our own code only: core (not cli/run.js)',
    ])
    expect(lint('core/app.js', "export * from '../helper/qemu/main.js'")).toHaveLength(1)
    expect(lint('core/app.js', "await import('../helper/qemu/main.js')")).toHaveLength(1)
  })

  it('allows the row, the folder itself, and packages', () => {
    expect(lint('cli/a/b.js', "import '../../core/app.js'; import './c.js'; import 'zod'")).toEqual([])
  })

  it('takes a folder of the same name elsewhere for what it is', () => {
    expect(lint('core/ui/a.js', "import '../cli/b.js'")).toEqual([])
  })

  it('lets the longest row count', () => {
    expect(lint('core/protocol/a.js', "import '../app.js'")).toHaveLength(1)
    expect(lint('core/app.js', "import './protocol/a.js'")).toEqual([])
  })
})
