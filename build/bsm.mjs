#!/usr/bin/env node
/** `bsm`: runs the built program. Plain JavaScript, for it must speak also where nothing is built yet. */
import { existsSync } from 'node:fs'

const program = new URL('../dist/bsm.mjs', import.meta.url)
if (existsSync(program)) await import(program.href)
else {
  console.error('bsm: it is not built yet (BOOT_CONFIG_INVALID, app)')
  console.error('next: run `npm start` once (or `npm run build`), which builds it')
  process.exitCode = 65
}
