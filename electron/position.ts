export interface Rect {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** Between the popover and the edges of the screen, and the icon. */
const GAP = 8

/** Width, and height at most, of the popover: 420 px, 44 rem. */
export const POPOVER_SIZE = { width: 420, height: 704 }

/** Where the icon is, or null where nobody can tell: a Linux tray, an icon hidden by the notch or by too many others. */
export const anchorOf = (bounds: Rect): Rect | null =>
  bounds.width > 0 && bounds.height > 0 && bounds.x !== 0 ? bounds : null

/**
 * The popover's place: centred on the icon, below a bar at the top of the screen and above one at its foot, never
 * outside the work area. Without an icon to go by it is the upper right corner. In whole pixels.
 */
export function placePopover(anchor: Rect | null, workArea: Rect): Rect {
  const width = Math.round(Math.min(POPOVER_SIZE.width, workArea.width - 2 * GAP))
  const height = Math.round(Math.min(POPOVER_SIZE.height, workArea.height - 2 * GAP))
  const right = workArea.x + workArea.width - width - GAP
  const bottom = workArea.y + workArea.height - height - GAP
  const within = (value: number, low: number, high: number): number =>
    Math.round(Math.min(Math.max(value, low), Math.max(low, high)))
  if (anchor === null)
    return { x: within(right, workArea.x, right), y: Math.round(workArea.y + GAP), width, height }
  const above = anchor.y + anchor.height / 2 > workArea.y + workArea.height / 2
  const wanted = {
    x: anchor.x + anchor.width / 2 - width / 2,
    y: above ? anchor.y - height - GAP : anchor.y + anchor.height + GAP,
  }
  return {
    x: within(wanted.x, workArea.x + GAP, right),
    y: within(wanted.y, workArea.y + GAP, bottom),
    width,
    height,
  }
}
