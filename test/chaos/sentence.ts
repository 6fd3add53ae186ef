import { must } from '../gates/broken.ts'

/** What is said to people is a sentence, and no trace of a program. */
export function sentence(text: string | undefined, whose: string): void {
  must(
    text !== undefined && /\w+ \w+/.test(text) && !/undefined|\[object|\n\s+at /.test(text),
    `${whose} is no sentence: ${JSON.stringify(text)}`,
  )
}
