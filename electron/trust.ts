/** Where our pages live. Standard and secure, so that they have an origin like any other. */
export const SCHEME = 'bsm'
export const ORIGIN = `${SCHEME}://app`
export const PAGE_URL = `${ORIGIN}/`

/** Whether an address is of our own pages. Parsed, never matched as text. */
export function isOwnUrl(url: string): boolean {
  try {
    const { protocol, host, username, password, port } = new URL(url)
    return protocol === `${SCHEME}:` && host === 'app' && username === '' && password === '' && port === ''
  } catch {
    return false
  }
}

/** As much of Electron's WebFrameMain as trust needs; null after the frame is gone. */
interface Frame {
  readonly url: string
  readonly parent: object | null
}

/** Whether a message comes from the page itself: its window's main frame, at our own address. */
export function isOwnFrame(frame: Frame | null, mainFrame: object): boolean {
  return frame !== null && frame === mainFrame && frame.parent === null && isOwnUrl(frame.url)
}

/** The one thing that a page may be permitted: its copy buttons. Everything else is denied unseen. */
export const mayUse = (permission: string, requestedBy: string): boolean =>
  permission === 'clipboard-sanitized-write' && isOwnUrl(requestedBy)
