import type { Out } from '../io.ts'

/** How wide lines for people may be; null where nobody looks but a program, which wants them whole. */
export const columnsOf = (out: Out): number | null => (out.isTTY === true ? (out.columns ?? null) : null)

/**
 * A line in pieces of at most `columns`, broken between the facts that ` · ` parts where it can be, else between words;
 * a longer word stays whole. What follows the first piece is indented by `hang`: two more than the line unless given.
 */
export function wrap(line: string, columns: number | null, hang = indentOf(line) + 2): string[] {
  if (columns === null) return [line]
  return broken(line, ' · ', columns, hang).flatMap((piece) => broken(piece, ' ', columns, hang))
}

function broken(line: string, glue: string, columns: number, hang: number): string[] {
  if (line.length <= columns) return [line]
  const start = ' '.repeat(indentOf(line))
  const [first = '', ...rest] = line.trimStart().split(glue)
  return rest.reduce<string[]>(
    (pieces, word) => {
      const longer = pieces.at(-1) + glue + word
      return longer.length <= columns ? pieces.with(-1, longer) : [...pieces, ' '.repeat(hang) + word]
    },
    [start + first],
  )
}

const indentOf = (line: string): number => line.length - line.trimStart().length
