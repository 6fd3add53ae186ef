import { useMemo, useState } from 'react'
import { count } from '../format/numbers.ts'
import { tail, visible } from '../format/hostile.ts'
import type { OutputStream } from '../protocol.ts'

const SHOWN = 12_000
const MORE = 60_000

export type Piece = { stream: OutputStream; text: string }

/**
 * What a tool wrote, as text and nothing else. Only its end is in the page, however long it is;
 * errors are told from output by a mark in the margin, not by colour alone.
 */
export function OutputView({
  pieces,
  label,
  dropped = 0,
}: {
  pieces: readonly Piece[]
  label: string
  dropped?: number
}) {
  const [limit, setLimit] = useState(SHOWN)
  const { shown, hidden } = useMemo(() => lastOf(pieces, limit), [pieces, limit])
  return (
    <div className="output">
      {hidden + dropped > 0 && (
        <p className="output-cut">
          <span>{count(hidden + dropped)} characters before this are not shown.</span>
          {hidden > 0 && limit < MORE && (
            <button type="button" className="button quiet small" onClick={() => setLimit(MORE)}>
              Show more
            </button>
          )}
        </p>
      )}
      <pre tabIndex={0} role="group" aria-label={label}>
        {shown.map((piece, i) => (
          <span key={i} className={`stream ${piece.stream}`}>
            {piece.stream === 'stderr' && <span className="sr-only">error output: </span>}
            {visible(piece.text)}
          </span>
        ))}
      </pre>
    </div>
  )
}

function lastOf(pieces: readonly Piece[], limit: number): { shown: Piece[]; hidden: number } {
  const shown: Piece[] = []
  let left = limit
  let hidden = 0
  for (const piece of pieces.toReversed()) {
    if (left <= 0) {
      hidden += piece.text.length
      continue
    }
    const end = tail(piece.text, left)
    left -= end.text.length
    hidden += end.hiddenChars
    shown.push({ stream: piece.stream, text: end.text })
  }
  return { shown: shown.toReversed(), hidden }
}
