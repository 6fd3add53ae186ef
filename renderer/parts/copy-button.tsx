import { useState } from 'react'

type Props = {
  /** A function where the text is long and made for the clipboard only. */
  text: string | (() => string)
  label: string
  quiet?: boolean
}

/** Copies `text` and says so until something else takes the focus. */
export function CopyButton({ text, label, quiet = true }: Props) {
  const [said, setSaid] = useState<'copied' | 'failed' | null>(null)
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof text === 'string' ? text : text())
      setSaid('copied')
    } catch {
      setSaid('failed')
    }
  }
  const words = said === 'copied' ? 'Copied' : said === 'failed' ? 'Not allowed' : 'Copy'
  return (
    <button
      type="button"
      className={quiet ? 'button quiet small' : 'button'}
      onClick={() => void copy()}
      onBlur={() => setSaid(null)}
      onPointerLeave={() => setSaid(null)}
    >
      <span aria-hidden="true">{quiet ? words : said === null ? label : words}</span>
      <span className="sr-only" aria-live="polite">
        {said === null ? label : `${label}: ${words}`}
      </span>
    </button>
  )
}
