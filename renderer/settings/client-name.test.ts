import { describe, expect, it } from 'vitest'
import { nameProblem } from './client-name.ts'

describe("an agent's name", () => {
  it.each([
    ['claude-code', null],
    ['a.b_C-9', null],
    ['', 'Give it a name.'],
    ['two words', 'Letters, digits, dot, underscore and hyphen only.'],
    ['x'.repeat(65), 'At most 64 characters.'],
    ['cli', 'That name is the app’s own.'],
    ['codex', 'There is one of this name already.'],
  ])('%j: %s', (name, problem) => expect(nameProblem(name, ['codex'])).toBe(problem))
})
