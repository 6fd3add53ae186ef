import { visible } from '../format/hostile.ts'

/** A sentence of the app; what stands between backticks is a command to type. */
export function Prose({ text }: { text: string }) {
  return visible(text)
    .split('`')
    .map((part, i, parts) =>
      // An unpaired backtick is only a backtick.
      i % 2 === 1 && i < parts.length - 1 ? <code key={i}>{part}</code> : (i % 2 === 1 ? '`' : '') + part,
    )
}
