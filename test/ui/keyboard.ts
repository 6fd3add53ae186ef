import type { Page } from 'playwright-core'

/**
 * What the page is asked about its focus. Visible controls, without those that their own group reaches with arrow
 * keys: of tabs and segments, all but one; the two buttons of a number field. Behind an open dialog there are none.
 */
const IN_PAGE = `{
  const CONTROLS = 'button, input, select, textarea, summary, a[href], [tabindex], [contenteditable]'
  const GROUPED = '[role=tablist] [tabindex="-1"], .segments [tabindex="-1"], .stepper button, [role=alertdialog]'
  const nameOf = (at) =>
    (at.tagName.toLowerCase() + ' ' + (at.ariaLabel ?? at.labels?.[0]?.innerText ?? at.innerText ?? at.id)).replace(/\\s+/g, ' ').slice(0, 80)
  const within = (at) => document.querySelector('[role=alertdialog]')?.contains(at) ?? true
  const shown = (at) => at.checkVisibility({ visibilityProperty: true }) && at.closest('[aria-hidden=true], [inert]') === null
  const controls = () =>
    [...document.querySelectorAll(CONTROLS)].filter(
      (at) => shown(at) && within(at) && !at.disabled && !at.matches(GROUPED),
    )

  /** Where it stands in what scrolls, not in the window. */
  const placeOf = (at) => {
    const { left, right, top, bottom } = at.getBoundingClientRect()
    let scrolled = 0
    for (let up = at.parentElement; up !== null; up = up.parentElement) scrolled += up.scrollTop
    return { left, right, top: top + scrolled, bottom: bottom + scrolled }
  }

  /** What is wrong with the ring around the element that has the focus; null if all of it can be seen. */
  const ringFault = (at) => {
    const style = getComputedStyle(at)
    const width = parseFloat(style.outlineWidth)
    if (style.outlineStyle === 'none' || width < 2) return 'no ring'
    const grow = Math.max(0, width + parseFloat(style.outlineOffset))
    const box = at.getBoundingClientRect()
    const cutBy = (low, high, from, to) => high - low <= to - from && (low - grow < from - 0.5 || high + grow > to + 0.5)
    for (let up = at.parentElement; up !== null; up = up.parentElement) {
      const { overflow, contain } = getComputedStyle(up)
      const root = up === document.documentElement
      if (!root && overflow === 'visible' && !/paint|content|strict/.test(contain)) continue
      const clip = root ? { left: 0, right: innerWidth, top: 0, bottom: innerHeight } : up.getBoundingClientRect()
      if (cutBy(box.left, box.right, clip.left, clip.right) || cutBy(box.top, box.bottom, clip.top, clip.bottom))
        return 'its ring is cut off by ' + up.tagName.toLowerCase() + '.' + up.className
    }
    const middle = document.elementFromPoint((box.left + box.right) / 2, Math.max(0, Math.min(innerHeight - 1, (box.top + box.bottom) / 2)))
    return middle === null || at.contains(middle) || middle.contains(at) ? null : 'it is covered by ' + nameOf(middle)
  }

  const frame = () => new Promise((then) => requestAnimationFrame(then))
  const scrolling = () => [...document.querySelectorAll('*')].map((at) => at.scrollTop).filter((top) => top > 0).join()
  let scrolled = ''
  /** What scrolled to bring the focus into view may show another control: the page hears of it with the next frame. */
  const settled = async () => {
    if (scrolling() === scrolled) return
    scrolled = scrolling()
    await frame()
    await frame()
  }

  const visited = new Set()
  window.keyboard = {
    begin: () => {
      scrolled = scrolling()
      // A dialog has the focus already; opened with the mouse, it shows no ring before the first key.
      if (document.querySelector('[role=alertdialog]') !== null) return void visited.add(document.activeElement)
      document.body.tabIndex = -1
      document.body.focus()
      document.body.removeAttribute('tabindex')
    },
    /** Null at the end of the page or the dialog, and where the focus was before. */
    stop: async () => {
      await settled()
      const at = document.activeElement
      if (at === null || at === document.body || visited.has(at) || at.ariaHidden === 'true') return null
      visited.add(at)
      const fault = controls().includes(at) ? ringFault(at) : 'takes the focus, and is no control'
      return { name: nameOf(at), fault, ...placeOf(at) }
    },
    missed: () => controls().filter((at) => !visited.has(at)).map(nameOf),
  }
}`

type Place = { left: number; right: number; top: number; bottom: number }
type Stop = Place & { name: string; fault: string | null }

const MOST = 150

/**
 * Presses Tab from the top of the page to its end, or once around in a dialog, and returns what a person without a
 * mouse would complain about; a sentence each.
 */
export async function walk(page: Page): Promise<string[]> {
  await page.evaluate(IN_PAGE)
  await page.evaluate('window.keyboard.begin()')
  const stops: Stop[] = []
  for (;;) {
    await page.keyboard.press('Tab')
    const stop = await page.evaluate<Stop | null>('window.keyboard.stop()')
    if (stop === null) break
    stops.push(stop)
    if (stops.length > MOST)
      throw new Error(`Tab comes to no end: ${stops.map(({ name }) => name).join(', ')}`)
  }
  const missed = await page.evaluate<string[]>('window.keyboard.missed()')
  return [
    ...missed.map((name) => `${name}: Tab does not reach it`),
    ...stops.flatMap(({ name, fault }) => (fault === null ? [] : [`${name}: ${fault}`])),
    ...stops.flatMap((stop, i) => {
      const before = stops[i - 1]
      return before !== undefined && goesBack(before, stop)
        ? [`${stop.name}: comes after ${before.name}`]
        : []
    }),
  ]
}

/** Against the direction of reading: upwards, unless into the next column; or to the left on one line. */
function goesBack(from: Place, to: Place): boolean {
  if (to.bottom <= from.top) return to.left < from.right
  const oneLine = to.top < from.bottom && from.top < to.bottom
  return oneLine && to.right <= from.left
}
