/**
 * `next`, with every part that equals its counterpart in `previous` taken from there, so that a
 * component that reads an unchanged part of a new snapshot does not render again.
 */
export function share<T>(previous: T, next: T): T {
  if (Object.is(previous, next)) return previous
  if (Array.isArray(previous) && Array.isArray(next)) {
    const shared = next.map((item: unknown, i) => share(previous[i] as unknown, item))
    const same = shared.length === previous.length && shared.every((item, i) => item === previous[i])
    return same ? previous : (shared as T)
  }
  if (!isRecord(previous) || !isRecord(next)) return next
  const keys = Object.keys(next)
  let same = keys.length === Object.keys(previous).length
  const shared: Record<string, unknown> = {}
  for (const key of keys) {
    shared[key] = share(previous[key], next[key])
    same &&= shared[key] === previous[key]
  }
  return same ? previous : (shared as T)
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
