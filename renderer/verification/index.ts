export { Divergence } from './divergence.tsx'
export { LastVerification, Proof } from './last-verification.tsx'
