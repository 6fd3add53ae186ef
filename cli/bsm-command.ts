import { join } from 'node:path'
import { projectRoot } from './project-root.ts'

/** The command line that runs `bsm` with `args` from anywhere: absolute, and with this very Node. */
export const bsmCommand = (args: readonly string[]): string[] => [
  process.execPath,
  join(projectRoot, 'build', 'bsm.mjs'),
  ...args,
]

/** Words for a POSIX shell, quoted where they must be. */
export const shellWords = (words: readonly string[]): string =>
  words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ')
