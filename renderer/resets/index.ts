export { Resets } from './resets.tsx'
