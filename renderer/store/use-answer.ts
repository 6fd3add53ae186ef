import { useCallback, useRef, useState } from 'react'
import { wireErrorOf, type Answer, type Call } from '../bridge/index.ts'
import type { WireError } from '../protocol.ts'
import { ask } from './store.ts'

export type Asked<T> =
  /** `value` is the last answer, which stays in sight while a newer one is awaited. */
  | { kind: 'asking'; value: T | null }
  | { kind: 'answered'; value: T }
  | { kind: 'failed'; error: WireError; value: T | null }

/** What the app answers to one component's question, asked as often as the component likes. The newest counts. */
export function useAnswer<C extends Call>(): [
  asked: Asked<Answer<C>>,
  put: (call: C) => Promise<Answer<C> | null>,
] {
  const [asked, setAsked] = useState<Asked<Answer<C>>>({ kind: 'asking', value: null })
  const newest = useRef(0)
  const put = useCallback(async (call: C) => {
    const round = (newest.current += 1)
    const settle = (next: (before: Answer<C> | null) => Asked<Answer<C>>) => {
      if (newest.current === round) setAsked(({ value }) => next(value))
    }
    settle((value) => ({ kind: 'asking', value }))
    try {
      const value = await ask(call)
      settle(() => ({ kind: 'answered', value }))
      return value
    } catch (thrown) {
      settle((value) => ({ kind: 'failed', error: wireErrorOf(thrown), value }))
      return null
    }
  }, [])
  return [asked, put]
}
