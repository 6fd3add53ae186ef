import { shortDigest } from '../format/numbers.ts'
import { CopyButton } from './copy-button.tsx'

/** A digest short enough to compare by eye; the whole of it is in the title and on the clipboard. */
export function Digest({ value, of, copy = true }: { value: string | null; of: string; copy?: boolean }) {
  return (
    <span className="digest">
      <code title={value ?? undefined}>{shortDigest(value)}</code>
      {copy && value !== null && <CopyButton text={value} label={`Copy ${of}`} />}
    </span>
  )
}
