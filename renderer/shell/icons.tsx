import type { ComponentType, ReactNode } from 'react'
import type { ViewId } from './views.ts'

const Icon = ({ children }: { children: ReactNode }) => (
  <svg className="icon" width="16" height="16" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
    {children}
  </svg>
)

/** A pulse: how it is. */
const Pulse = () => (
  <Icon>
    <path d="M1.5 8.5h3L6.2 4l3 8.5 1.9-4h3.4" />
  </Icon>
)

const Sliders = () => (
  <Icon>
    <path d="M2 4.5h6m4 0h2M2 11.5h2m4 0h6" />
    <circle cx="10" cy="4.5" r="1.8" />
    <circle cx="6" cy="11.5" r="1.8" />
  </Icon>
)

export const ICONS: Partial<Record<ViewId, ComponentType>> = { diagnostics: Pulse, settings: Sliders }
