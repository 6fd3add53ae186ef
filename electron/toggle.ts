/**
 * A click on the icon takes the focus from the popover first, which hides it, and is heard only then: taken by itself
 * it would show the popover again.
 */

/** How the popover was last hidden by losing the focus. */
export interface Blur {
  /** Monotonic, in ms. */
  readonly at: number
  /** Whether the pointer was on the icon; null where nobody can tell where that is. */
  readonly onIcon: boolean | null
}

/** A press may be held this long. */
const PRESS_MS = 1_000
/** Without knowing where the pointer was, only what comes at once counts as the same click. */
const AT_ONCE_MS = 200

/** Whether a click on the icon belongs to the blur that just hid the popover, and so must not show it again. */
export function isSameClick(blur: Blur | null, now: number): boolean {
  if (blur === null || blur.onIcon === false) return false
  return now - blur.at < (blur.onIcon === true ? PRESS_MS : AT_ONCE_MS)
}
