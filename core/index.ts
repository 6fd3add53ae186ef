/** The engine's front door. Everything else in this folder is private to it. */
import { App, type AppOptions } from './app.ts'

export { App, type AppOptions } from './app.ts'
export { diagnose, makeBundle, thisMachine } from './diagnostics/index.ts'
export { checkParts, dropOverrides, loadDistribution } from './distribution/index.ts'
export { EvidenceStore } from './evidence/index.ts'
export {
  askPreflight,
  helperEnvironment,
  locateHelper,
  RestartBudget,
  type RestartLimits,
} from './helper/index.ts'
export { buildCommand, loadImage } from './image.ts'
export { ensurePaths, pathsIn, resolvePaths, type Paths } from './paths.ts'
export * from './sandbox.ts'
export { readToken, removeToken, saveToken } from './tokens.ts'
export { PageSession, type PageTransport } from './ui/index.ts'
export { bytes } from './units.ts'
export { Updates, type UpdateFeed, type UpdateState } from './updates.ts'
export { readStatic, securityHeaders, serveUi } from './ui-server/index.ts'

export const createApp = (options: AppOptions): App => new App(options)
