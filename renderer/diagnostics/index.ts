export { Diagnostics } from './diagnostics.tsx'
