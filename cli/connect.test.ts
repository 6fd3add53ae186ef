import { describe, expect, it } from 'vitest'
import { resolvePaths } from '../core/index.ts'
import { defaultAgentSocket } from '../client/index.ts'

describe('the agent socket', () => {
  it.each([
    ['linux', { HOME: '/home/a' }],
    ['linux', { HOME: '/home/a', XDG_STATE_HOME: '/state' }],
    ['linux', { HOME: '/home/a', XDG_STATE_HOME: 'relative' }],
    ['linux', { HOME: '/home/a', BSM_STATE_DIR: '/elsewhere' }],
    ['darwin', { HOME: '/Users/a', XDG_STATE_HOME: '/state' }],
  ] as const)('is looked for where the app puts it: %s %j', (platform, env) => {
    expect(defaultAgentSocket(env, platform)).toBe(resolvePaths(env, platform).agentSocket)
  })
})
