/** Why an image could not be built, in a sentence, and what to do next; shown to people without a stack. */
export class ImageBuildError extends Error {
  override readonly name = 'ImageBuildError'
  readonly next: string

  constructor(what: string, next: string, options?: ErrorOptions) {
    super(what + (what.endsWith('\n') ? '' : ' ') + next, options)
    this.next = next
  }
}
