/** The command line is wrong: one sentence, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  /** The command's own help, unless given. */
  readonly nextStep: string | undefined

  constructor(message: string, nextStep?: string) {
    super(message)
    this.nextStep = nextStep
  }
}
