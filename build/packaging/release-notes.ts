import { SetupError } from '../progress.ts'

/**
 * What the changelog says of a version: the lines below `## VERSION — DATE` up to the next heading of that rank. For a
 * release it has to be there and dated.
 */
export function releaseNotes(changelog: string, version: string, dated: boolean): string {
  const heading = new RegExp(`^## ${version.replaceAll('.', '\\.')} — (.+)$`, 'm').exec(changelog)
  if (heading === null) throw new SetupError(`CHANGELOG.md has no section "## ${version} — DATE".`)
  if (dated && !/^\d{4}-\d{2}-\d{2}$/.test(heading[1] ?? ''))
    throw new SetupError(
      `CHANGELOG.md calls ${version} "${heading[1] ?? ''}": give it the date of its release.`,
    )
  const rest = changelog.slice(heading.index + heading[0].length)
  const end = rest.search(/^## /m)
  const notes = (end < 0 ? rest : rest.slice(0, end)).trim()
  if (notes === '') throw new SetupError(`CHANGELOG.md says nothing of ${version}.`)
  return `# Brainstorm Sandbox ${version}\n\n${notes}\n`
}
