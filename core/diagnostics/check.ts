import type { AppSnapshot, AuditVerdict, CheckResult, Preflight } from '../protocol/index.ts'

export type Finding = Omit<CheckResult, 'id' | 'title' | 'duration_ms'>

/** What a check may look at; everything of the machine comes in here, so that a test can bring another machine. */
export interface Machine {
  /** Where the programs and sources lie; null in an app that was installed without them. */
  readonly root: string | null
  readonly imageDir: string
  readonly env: NodeJS.ProcessEnv
  readonly platform: NodeJS.Platform
  readonly nodeVersion: string
  /** Runs a program and returns what it printed; throws when it is missing, fails or takes over 5 s. */
  run(program: string, args: readonly string[]): Promise<string>
  /** What the helper that the app runs says of this machine; throws a sentence when it cannot. */
  preflight(): Promise<Preflight>
  /** The running app's snapshot, or null; asked once for all checks. */
  app(): Promise<AppSnapshot | null>
  /** What the running app finds of its audit log, or null. */
  audit(): Promise<AuditVerdict | null>
}

export interface Check {
  readonly id: string
  readonly title: string
  /** Null where it does not apply, which is not worth a line. */
  run(machine: Machine): Promise<Finding | null> | Finding | null
}
