import { wrap } from './wrap.ts'

type Options = {
  indent?: string
  /** Of the terminal; what does not fit goes on under the last column. */
  columns?: number | null
}

/** Columns padded to their widest cell; the last one is not padded. */
export function table(
  rows: readonly (readonly string[])[],
  { indent = '', columns = null }: Options = {},
): string[] {
  const widths: number[] = []
  for (const row of rows)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length)
    })
  return rows.flatMap((row) => {
    const padded = row.slice(0, -1).map((cell, i) => cell.padEnd(widths[i] ?? 0) + '  ')
    const before = indent + padded.join('')
    return wrap((before + (row.at(-1) ?? '')).trimEnd(), columns, before.length)
  })
}
