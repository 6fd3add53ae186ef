import { randomUUID } from 'node:crypto'
import { App } from '../app.ts'
import { pathsIn } from '../paths.ts'
import { scriptedHelper } from './scripted-helper-command.ts'

/** An app in a process of its own, to be killed in the middle of a dispatch: state directory, config directory, image directory, script. */
const [stateDir = '', configDir = '', imageDir = '', script = ''] = process.argv.slice(2)
const app = new App({
  version: '0.0.0-test',
  paths: pathsIn(stateDir, configDir),
  imageDir,
  helper: scriptedHelper(script),
})
await app.start()
await app.up()
process.stdout.write('ready\n')
void app.exec('tester', { command_id: randomUUID(), tool: 'hang', params: {}, deadline_ms: 60_000 })
