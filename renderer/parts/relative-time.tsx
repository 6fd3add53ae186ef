import { ago, dayAndTime } from '../format/numbers.ts'
import { useNow } from '../store/index.ts'

/** How long ago, kept right by the page's one clock. */
export function RelativeTime({ stamp }: { stamp: string }) {
  const now = useNow()
  return (
    <time dateTime={stamp} title={dayAndTime(stamp)}>
      {ago(stamp, now)}
    </time>
  )
}
