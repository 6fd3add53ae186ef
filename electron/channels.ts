/** Between the preload script and the main process; no page can name a channel. */
export const CHANNEL = {
  /** Page → main: it listens, and wants a snapshot. */
  connect: 'bsm:connect',
  /** Page → main: a `PageRequest` as JSON. */
  request: 'bsm:request',
  /** Main → page: a `UiMessage` as JSON. */
  message: 'bsm:message',
  /** Page → main: so many characters of messages were taken. */
  taken: 'bsm:taken',
  hide: 'bsm:hide',
  openSettings: 'bsm:open-settings',
  openLoginItems: 'bsm:open-login-items',
  quit: 'bsm:quit',
  /** Asked and answered. */
  loginItem: 'bsm:login-item',
  setLoginItem: 'bsm:set-login-item',
} as const

/** How the main process tells a preload script which window it is in. */
export const WINDOW_ARGUMENT = '--bsm-window='
