import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { HelperBinary } from './helper-binary.ts'

const SABOTEUR = join(import.meta.dirname, 'saboteur.mjs')

/** A helper that breaks the contract in one way that `saboteur.mjs` knows, with the given one behind it. */
export const sabotaged = (sabotage: string, { command, args }: HelperBinary): HelperBinary => ({
  name: sabotage,
  command: process.execPath,
  args: [SABOTEUR, sabotage, command, ...args],
})

/** The same as a script of its own, for what takes the path of a helper alone. */
export function sabotagedScript(sabotage: string, { command, args }: HelperBinary, path: string): string {
  const words = ['node', SABOTEUR, sabotage, command, ...args]
  writeFileSync(
    path,
    `process.argv.splice(1, 1, ...${JSON.stringify(words.slice(1))})\nawait import(${JSON.stringify(SABOTEUR)})\n`,
  )
  return path
}
