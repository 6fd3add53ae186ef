/** What is promised does not hold; the message says what was seen. */
export class Broken extends Error {
  override readonly name = 'Broken'
}

/** Throws {@link Broken}; a message that is dear to make may be a function. */
export function must(condition: boolean, seen: string | (() => string)): asserts condition {
  if (!condition) throw new Broken(typeof seen === 'string' ? seen : seen())
}
