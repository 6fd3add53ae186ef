export { serveUi, type UiServer } from './server.ts'
