import { LIMITS } from '../../protocol/index.ts'
import { resolvePaths } from '../../paths.ts'
import type { Check } from '../check.ts'

export const socketPath: Check = {
  id: 'socket-path',
  title: 'socket paths',
  run({ env, platform }) {
    const { agentSocket, controlSocket } = resolvePaths(env, platform)
    // The terminating zero counts.
    const longest = Math.max(...[agentSocket, controlSocket].map((path) => Buffer.byteLength(path) + 1))
    if (longest <= LIMITS.socketPathBytes)
      return { status: 'ok', message: `${longest} of ${LIMITS.socketPathBytes} bytes` }
    return {
      status: 'fail',
      message: `${controlSocket} has ${longest} bytes; a socket path may have ${LIMITS.socketPathBytes}`,
      remedy: 'set BSM_STATE_DIR to a shorter path',
    }
  },
}
