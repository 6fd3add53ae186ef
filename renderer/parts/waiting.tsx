import type { ReactNode } from 'react'
import { Mark } from './mark.tsx'

/** Stands where an answer is on its way, and says which. */
export function Waiting({ children }: { children: ReactNode }) {
  return (
    <p className="waiting" role="status">
      <Mark shape="arc" tone="busy" /> {children}
    </p>
  )
}
