import { BsmError } from '../core/protocol/index.ts'

/** Nobody listens on the socket: the one failure that is cured by starting the app. */
export class AppNotRunningError extends BsmError {
  override readonly name = 'AppNotRunningError'
  constructor(cause: unknown) {
    super('VM_LIFECYCLE_ERROR', 'app', 'no app is running', {
      nextStep: 'start it with `npm start` or `bsm up`; if it does not start, see `bsm doctor`',
      cause,
    })
  }
}

const errnoOf = (thrown: unknown): string | undefined =>
  thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined

/** What a failed `connect(2)` means to a person. */
export function connectError(thrown: unknown, socketPath: string): BsmError {
  switch (errnoOf(thrown)) {
    case 'ENOENT':
    case 'ECONNREFUSED':
    case 'ENOTDIR':
      return new AppNotRunningError(thrown)
    case 'EACCES':
    case 'EPERM':
      return new BsmError('UNAUTHORIZED', 'agent', `this user may not open ${socketPath}`, {
        nextStep: 'run as the user who started the app',
        cause: thrown,
      })
    default:
      return new BsmError('VM_LIFECYCLE_ERROR', 'agent', `${socketPath} cannot be connected to`, {
        nextStep: 'see `bsm doctor`',
        cause: thrown,
      })
  }
}

/** The connection ended while answers were owed. */
export class ConnectionLostError extends BsmError {
  override readonly name = 'ConnectionLostError'
  constructor(cause?: unknown) {
    super('VM_LIFECYCLE_ERROR', 'app', 'the connection to the app was lost before it answered', {
      nextStep: 'see `bsm status`; the app cancels and wipes whatever a lost client had running',
      ...(cause === undefined ? {} : { cause }),
    })
  }
}

export function connectionClosed(): BsmError {
  return new BsmError('CANCELLED', 'agent', 'the connection was closed by its owner', {
    nextStep: 'connect again',
  })
}

export function timedOut(what: string, ms: number): BsmError {
  return new BsmError('TIMEOUT', 'app', `the app did not answer ${what} within ${ms} ms`, {
    nextStep: 'see `bsm status`, and `bsm doctor` when it stays silent',
  })
}

export function aborted(what: string, reason: unknown): BsmError {
  return new BsmError('CANCELLED', 'agent', `${what} was cancelled by the caller`, { cause: reason })
}
