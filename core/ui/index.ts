export { PageSession, type PageRequest, type PageTransport } from './page-session.ts'
