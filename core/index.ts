/** The engine's front door. Everything else in this folder is private to it. */
import { App, type AppOptions } from './app.ts'

export { App, type AppOptions, type OutputListener } from './app.ts'
export { verifyAudit, headPathOf, type AuditOptions } from './audit/index.ts'
export type { ExecAnswer, VerifyAnswer } from './dispatcher.ts'
export { askPreflight, helperEnvironment } from './helper/index.ts'
export { buildCommand, loadImage } from './image.ts'
export { loadOrCreateKey } from './keys.ts'
export { escapeControl } from './log.ts'
export { ensurePaths, pathsIn, resolvePaths, type Paths } from './paths.ts'
export * from './sandbox.ts'
export { defaultSettings } from './settings.ts'
export { serveUi, type UiServer } from './ui-server/index.ts'

export const createApp = (options: AppOptions): App => new App(options)
