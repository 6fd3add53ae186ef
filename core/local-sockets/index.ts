export { LocalSockets } from './local-sockets.ts'
