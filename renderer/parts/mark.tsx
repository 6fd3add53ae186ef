import type { ReactNode } from 'react'

/** Shapes that tell states apart without colour; each is drawn in a box of 16. */
export type Shape = 'dot' | 'ring' | 'arc' | 'play' | 'loop' | 'alert' | 'cross' | 'square' | 'check' | 'dash'
export type Tone = 'ok' | 'busy' | 'warn' | 'bad' | 'idle'

const DRAWINGS: Record<Shape, ReactNode> = {
  dot: <circle cx="8" cy="8" r="5.5" className="fill" />,
  ring: <circle cx="8" cy="8" r="5" className="stroke" />,
  arc: (
    <>
      <circle cx="8" cy="8" r="5" className="stroke faint" />
      <path d="M8 3a5 5 0 0 1 5 5" className="stroke" />
    </>
  ),
  play: <path d="M4.6 2.9v10.2L13.4 8z" className="fill round" />,
  loop: (
    <>
      <path d="M12.9 6.2A5.3 5.3 0 1 0 13.3 9" className="stroke" />
      <path d="M13.9 2.8v4h-4z" className="fill" />
    </>
  ),
  alert: (
    <>
      <path d="M8 1.9 14.9 14H1.1z" className="fill round" />
      <path d="M8 6.4v3.4" className="knock" />
      <circle cx="8" cy="11.9" r=".95" className="knock-dot" />
    </>
  ),
  cross: (
    <>
      <circle cx="8" cy="8" r="6.4" className="fill" />
      <path d="m5.7 5.7 4.6 4.6m0-4.6-4.6 4.6" className="knock" />
    </>
  ),
  square: <rect x="3.4" y="3.4" width="9.2" height="9.2" rx="2" className="stroke" />,
  check: (
    <>
      <circle cx="8" cy="8" r="6.4" className="fill" />
      <path d="m5.1 8.2 2.1 2.1 3.8-4.2" className="knock" />
    </>
  ),
  dash: (
    <>
      <circle cx="8" cy="8" r="5.6" className="stroke" />
      <path d="M5.6 8h4.8" className="stroke" />
    </>
  ),
}

/** A state's shape in its colour. The word always stands beside it, so it is silent to a reader. */
export function Mark({ shape, tone, size = 16 }: { shape: Shape; tone: Tone; size?: number }) {
  return (
    <svg
      className={`mark tone-${tone} shape-${shape}`}
      width={size}
      height={size}
      viewBox="0 0 16 16"
      aria-hidden="true"
      focusable="false"
    >
      {DRAWINGS[shape]}
    </svg>
  )
}
