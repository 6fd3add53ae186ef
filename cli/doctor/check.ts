import type { AppSnapshot, Preflight } from '../../core/protocol/index.ts'

export type Finding = {
  status: 'ok' | 'warn' | 'fail'
  /** One sentence for a person. */
  message: string
  /** The command, or the act, that mends it. */
  remedy?: string
}

/** What a check may look at; everything of the machine comes in here, so that a test can bring another machine. */
export type Machine = {
  root: string
  env: NodeJS.ProcessEnv
  platform: NodeJS.Platform
  nodeVersion: string
  /** Runs a program and returns what it printed; throws when it is missing, fails or takes over 5 s. */
  run(program: string, args: readonly string[]): Promise<string>
  /** What the helper that `bsm up` would run says of this machine; throws a sentence when it cannot. */
  preflight(): Promise<Preflight>
  /** The running app's snapshot, or null; asked once for all checks. */
  app(): Promise<AppSnapshot | null>
}

export type Check = {
  id: string
  title: string
  run(machine: Machine): Promise<Finding> | Finding
}

export type Result = Finding & { id: string; title: string; duration_ms: number }
