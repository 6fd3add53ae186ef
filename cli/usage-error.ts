/** The command line is wrong: one sentence, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly nextStep: string

  constructor(message: string, nextStep = 'see --help') {
    super(message)
    this.nextStep = nextStep
  }
}
