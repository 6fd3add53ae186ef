import { spawn } from 'node:child_process'
import { readToken, resolvePaths, type Paths } from '../../core/index.ts'
import { BsmError } from '../../core/protocol/index.ts'
import { AppNotRunningError, Sandbox } from '../../client/index.ts'
import { bsmCommand, shellWords } from '../bsm-command.ts'

export type AppLinkOptions = {
  env: NodeJS.ProcessEnv
  /** Name that the token was issued to. */
  client: string
  /** Start the app when it does not run. */
  start: boolean
  /** For people: a line on stderr. */
  log: (line: string) => void
}

const START_MS = 360_000

/** This server's connection to the app: made when it is needed, and again after the app or the token changed. */
export class AppLink {
  readonly #options: AppLinkOptions
  readonly #paths: Paths
  #sandbox: Promise<Sandbox> | null = null
  #starting: Promise<void> | null = null

  constructor(options: AppLinkOptions) {
    this.#options = options
    this.#paths = resolvePaths(options.env)
  }

  /** Runs `work` with a connection; what it throws comes with the command that mends it. */
  async use<T>(work: (sandbox: Sandbox) => Promise<T>): Promise<T> {
    try {
      return await this.#attempt(work)
    } catch (error) {
      if (isUnauthorized(error)) return await this.#afresh(work)
      if (!(error instanceof AppNotRunningError)) throw error
      if (!this.#options.start) throw notRunning(error)
      await this.#startApp()
      return await this.#attempt(work)
    }
  }

  async #attempt<T>(work: (sandbox: Sandbox) => Promise<T>): Promise<T> {
    this.#sandbox ??= this.#connect()
    const pending = this.#sandbox
    const sandbox = await pending.catch((error: unknown) => {
      if (this.#sandbox === pending) this.#sandbox = null
      throw error
    })
    return work(sandbox)
  }

  /** The token may have been replaced since: it is read again, once. */
  async #afresh<T>(work: (sandbox: Sandbox) => Promise<T>): Promise<T> {
    await this.close()
    try {
      return await this.#attempt(work)
    } catch (error) {
      throw isUnauthorized(error) ? this.#tokenRefused(error) : error
    }
  }

  #connect(): Promise<Sandbox> {
    const { client } = this.#options
    return Sandbox.connect({ token: this.#token(), client, socketPath: this.#paths.agentSocket })
  }

  #token(): string {
    const { env, client } = this.#options
    const token = env.BSM_TOKEN || readToken(this.#paths, client)
    if (token !== null) return token
    throw new BsmError('UNAUTHORIZED', 'agent', `there is no token for the client ${client}`, {
      nextStep: `a person at this machine runs: ${addCommand(client)}`,
    })
  }

  #tokenRefused(error: BsmError): BsmError {
    const { client } = this.#options
    return new BsmError('UNAUTHORIZED', 'app', error.message, {
      nextStep: `it was revoked or replaced; a person at this machine runs: ${addCommand(client)}`,
      cause: error,
    })
  }

  #startApp(): Promise<void> {
    this.#starting ??= this.#up().finally(() => (this.#starting = null))
    return this.#starting
  }

  #up(): Promise<void> {
    const { env, log } = this.#options
    log('no app is running: starting it')
    const [command = '', ...args] = bsmCommand(['up', '--detach', '--json'])
    return new Promise((resolve, reject) => {
      const child = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
      let said = ''
      child.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString('utf8')).slice(-4096)))
      const late = setTimeout(() => child.kill('SIGTERM'), START_MS)
      child.once('error', (cause) => reject(notStarted(String(cause))))
      child.once('close', (code) => {
        clearTimeout(late)
        if (code === 0) resolve()
        else reject(notStarted(said.trim()))
      })
    })
  }

  async close(): Promise<void> {
    const sandbox = await this.#sandbox?.catch(() => null)
    this.#sandbox = null
    await sandbox?.close()
  }
}

const isUnauthorized = (error: unknown): error is BsmError =>
  error instanceof BsmError && error.code === 'UNAUTHORIZED'

const addCommand = (client: string): string => shellWords(bsmCommand(['clients', 'add', client, '--save']))

const notRunning = (error: AppNotRunningError): BsmError =>
  new BsmError(error.code, error.layer, 'no app is running', {
    nextStep: `start it: ${shellWords(bsmCommand(['up', '--detach']))}`,
    cause: error,
  })

const notStarted = (details: string): BsmError =>
  new BsmError('VM_LIFECYCLE_ERROR', 'app', 'no app is running, and it could not be started', {
    nextStep: `see why: ${shellWords(bsmCommand(['doctor']))}`,
    cause: details,
  })
