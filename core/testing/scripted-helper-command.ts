import { fileURLToPath } from 'node:url'

export const TSX = ['--import', import.meta.resolve('tsx')]

/** How to run the scripted stand-in of a helper; `script` is described there. */
export const scriptedHelper = (script = '') => ({
  command: process.execPath,
  args: [...TSX, fileURLToPath(new URL('scripted-helper.ts', import.meta.url))],
  env: { SCRIPT: script },
})
