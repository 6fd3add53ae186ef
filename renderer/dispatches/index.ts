export { Dispatches } from './dispatches.tsx'
export { EvidenceLine } from './evidence-line.tsx'
