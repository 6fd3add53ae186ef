import { setTimeout as sleep } from 'node:timers/promises'
import type { App } from '../../core/index.ts'
import { BsmError, EXIT } from '../../core/protocol/index.ts'
import { escapeLine } from '../format/escape.ts'
import type { Out } from '../io.ts'

/** For the VM to stop; what is left after that ends with us. */
const STOP_MS = 15_000
const NEXT = 'Start it again with `bsm up`; the log has the details for a bug report.'

/**
 * Until disposed, what nobody caught ends the process in order: it is logged, the VM is stopped, and the exit code
 * is that of a bug. Going on could mean to dispatch on a state that nobody knows.
 */
export function endOnSurprise(app: App, stderr: Out): Disposable {
  let ending = false
  const listener = (thrown: unknown): void => {
    // Whatever else comes may come of what is done here, without end.
    if (ending) return
    ending = true
    const { message } = BsmError.from(thrown, 'app')
    app.logger.fatal({ stack: thrown instanceof Error ? thrown.stack : undefined }, message)
    stderr.write(`bsm: the app met what it did not expect, and ends: ${escapeLine(message)}\nnext: ${NEXT}\n`)
    const stopped = app.stop().catch(() => undefined)
    void Promise.race([stopped, sleep(STOP_MS)]).then(() => process.exit(EXIT.internalBug))
  }
  process.on('uncaughtException', listener)
  process.on('unhandledRejection', listener)
  return {
    [Symbol.dispose]: () => {
      // It must not take its exit code back while it ends.
      if (ending) return
      process.off('uncaughtException', listener)
      process.off('unhandledRejection', listener)
    },
  }
}
