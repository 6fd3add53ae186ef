import { App, pathsIn } from '../../core/index.ts'
import type { AppOptions } from '../../core/index.ts'
import { readFileSync } from 'node:fs'
import { endOnSurprise } from '../up/surprise.ts'

/**
 * An app in a process of its own that meets a bug once its stdin ends: state, config and image directory, helper, kind
 * of bug.
 */
const [stateDir = '', configDir = '', imageDir = '', helper = '', kind = ''] = process.argv.slice(2)
const paths = pathsIn(stateDir, configDir)
const app = new App({
  version: '0.0.0-test',
  paths,
  imageDir,
  helper: JSON.parse(helper) as AppOptions['helper'],
  ...(kind === 'unread' ? { people: process.stderr } : {}),
  autoStart: false,
})
using _ending = endOnSurprise(app, process.stderr)
await app.start()
await app.up()
const { pid } = JSON.parse(readFileSync(paths.helperIdentity, 'utf8')) as { pid: number }
process.stdout.write(String(pid))
process.stdin.resume().once('end', () => {
  const surprise = new Error('nobody caught this')
  if (kind !== 'rejection') throw surprise
  void Promise.reject(surprise)
})
await app.whenStopped
