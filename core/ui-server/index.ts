export { securityHeaders } from './headers.ts'
export { serveUi, type UiServer } from './server.ts'
export { readStatic } from './static.ts'
