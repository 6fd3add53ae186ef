/** Names that the app gives to people and to itself. */
const RESERVED = new Set(['app', 'cli', 'ui'])

/** Why a name cannot be an agent's, or null (protocol §5: letters, digits, `.`, `_`, `-`, at most 64). */
export function nameProblem(name: string, taken: readonly string[]): string | null {
  if (name === '') return 'Give it a name.'
  if (name.length > 64) return 'At most 64 characters.'
  if (!/^[A-Za-z0-9._-]+$/.test(name)) return 'Letters, digits, dot, underscore and hyphen only.'
  if (RESERVED.has(name)) return 'That name is the app’s own.'
  if (taken.includes(name)) return 'There is one of this name already.'
  return null
}
