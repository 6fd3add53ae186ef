import { Tabs } from '@base-ui/react/tabs'
import { appWindow } from '../bridge/index.ts'
import { useMedia } from '../parts/use-media.ts'
import { useStore } from '../store/index.ts'
import { goTo, useNavigation, useWelcome } from './navigation.ts'
import { ICONS } from './icons.tsx'
import { PAGE_VIEWS, SANDBOX_VIEWS, isPage, type View, type ViewId } from './views.ts'

export const tabId = (view: ViewId): string => `tab-${view}`
export const panelId = (view: ViewId): string => `view-${view}`
export const WIDE = '(min-width: 52rem)'

/** Chooses a view. Arrow keys move along the tabs; Enter or Space chooses. */
export function ViewTabs() {
  const wide = useMedia(WIDE)
  const halted = useStore((state) => (state.snapshot?.degraded ?? null) !== null)
  const welcome = useWelcome()
  const view = useNavigation((state) => state.view)
  const whole = wide || halted || welcome
  const sandbox: readonly View[] = whole
    ? [{ id: 'overview', title: halted ? 'Halted' : welcome ? 'Welcome' : 'Sandbox' }]
    : SANDBOX_VIEWS
  const shown: ViewId = whole && !isPage(view) ? 'overview' : view
  const views = appWindow()?.window === 'settings' ? PAGE_VIEWS.toReversed() : [...sandbox, ...PAGE_VIEWS]
  return (
    <Tabs.Root className="tabs-root" value={shown} onValueChange={(next: ViewId) => goTo(next)}>
      <Tabs.List className="tabs" aria-label="Views">
        {views.map(({ id, title }) => {
          // Where it is narrow, what is needed least often is a picture.
          const Icon = wide || whole ? undefined : ICONS[id]
          return (
            <Tabs.Tab
              key={id}
              value={id}
              id={tabId(id)}
              className={Icon === undefined ? 'tab' : 'tab pictured'}
              aria-controls={id === shown ? panelId(id) : undefined}
              title={Icon === undefined ? undefined : title}
            >
              {Icon === undefined ? (
                title
              ) : (
                <>
                  <Icon />
                  <span className="sr-only">{title}</span>
                </>
              )}
            </Tabs.Tab>
          )
        })}
      </Tabs.List>
    </Tabs.Root>
  )
}
