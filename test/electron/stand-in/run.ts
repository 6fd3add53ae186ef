/** Runs the built main bundle, unmodified, in this process; only `require('electron')` answers differently. */
import Module, { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { control, type Control } from './control.ts'
import { standInElectron } from './electron.ts'

const { STAND_IN_CHROMIUM = '', STAND_IN_APP = '', STAND_IN_PACKAGED } = process.env
for (const name of Object.keys(process.env))
  if (name.startsWith('STAND_IN_')) Reflect.deleteProperty(process.env, name)

const browser = chromium.connectOverCDP(STAND_IN_CHROMIUM)
const context = browser.then((connected) => {
  const [first] = connected.contexts()
  if (first === undefined) throw new Error('Chromium has no context')
  return first
})
const standIn = standInElectron(context, {
  appPath: STAND_IN_APP,
  packaged: STAND_IN_PACKAGED !== undefined,
  leave: async () => {
    for (const window of [...standIn.world.windows]) await window.webContents.close()
    // Only the connection, and the temporary directory of it: Chromium is the test's.
    await (await browser).close()
    process.disconnect()
  },
})
if (STAND_IN_PACKAGED !== undefined)
  Object.defineProperty(process, 'resourcesPath', { value: STAND_IN_PACKAGED })

type Load = (request: string, parent: unknown, isMain: boolean) => unknown
const loader = Module as unknown as { _load: Load }
const load = loader._load
loader._load = (request, parent, isMain) =>
  request === 'electron' ? standIn.electron : load(request, parent, isMain)

const controls = control(standIn)
process.on('message', (message: { id: number; name: keyof Control; args: unknown[] }) => {
  const act = controls[message.name] as (...args: unknown[]) => unknown
  Promise.resolve()
    .then(() => act(...message.args))
    .then(
      (value) => process.send?.({ id: message.id, value }),
      (error: unknown) => process.send?.({ id: message.id, error: String(error) }),
    )
})

createRequire(import.meta.url)(join(STAND_IN_APP, 'dist', 'electron', 'main.cjs'))
