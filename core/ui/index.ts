export { PageSession, type PageTransport } from './page-session.ts'
