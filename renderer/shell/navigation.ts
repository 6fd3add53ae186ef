import { create } from 'zustand'
import { appWindow } from '../bridge/index.ts'
import { useStore } from '../store/index.ts'
import type { ViewId } from './views.ts'

/** Which view a person chose; the settings window opens at its own. */
export const useNavigation = create<{ view: ViewId; welcomed: boolean }>()(() => ({
  welcomed: false,
  view: appWindow()?.window === 'settings' ? 'settings' : 'overview',
}))

/** In the popover, settings are a window of their own. */
export function goTo(view: ViewId): void {
  const shell = appWindow()
  if (view === 'settings' && shell?.window === 'popover') shell.openSettings()
  else useNavigation.setState({ view })
}

/** Whether the first run is to be explained. */
export function useWelcome(): boolean {
  const first = useStore((state) => state.snapshot?.first_run === true)
  return !useNavigation((state) => state.welcomed) && first
}

export const leaveWelcome = (view: ViewId): void => useNavigation.setState({ welcomed: true, view })
