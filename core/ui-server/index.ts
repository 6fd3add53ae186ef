export { serveUi, type UiServer, type UiServerOptions } from './server.ts'
