import { useEffect, useRef, useState } from 'react'
import { wireErrorOf } from '../bridge/index.ts'
import type { LogSource, WireError } from '../protocol.ts'
import { ask, useSeen, useStore } from '../store/index.ts'
import { bufferOf, newer, older, type LogBuffer } from './log-buffer.ts'

export type Reading =
  | { kind: 'loading' }
  | { kind: 'failed'; error: WireError }
  | { kind: 'reading'; buffer: LogBuffer; reachingBack: boolean; error: WireError | null }

/** One log, read from its end; followed while `following`, the page is seen and the app is there. */
export function useLog(source: LogSource, following: boolean) {
  const connected = useStore((state) => state.connection.kind === 'open')
  const growth = useStore((state) => state.logGrowth[source])
  const seen = useSeen()
  const [reading, setReading] = useState<Reading>({ kind: 'loading' })
  const [round, setRound] = useState(0)
  const buffer = useRef<LogBuffer | null>(null)
  const asking = useRef(false)

  useEffect(() => {
    if (!connected) return
    let dropped = false
    buffer.current = null
    ask({ action: 'logs', source }).then(
      (page) => {
        if (dropped) return
        buffer.current = bufferOf(page)
        setReading({ kind: 'reading', buffer: buffer.current, reachingBack: false, error: null })
      },
      (thrown: unknown) => {
        if (!dropped) setReading({ kind: 'failed', error: wireErrorOf(thrown) })
      },
    )
    return () => {
      dropped = true
      buffer.current = null
    }
  }, [source, connected, round])

  const live = following && seen && connected && reading.kind === 'reading'
  useEffect(() => {
    if (!live) return
    ask({ action: 'follow_log', source }).catch(() => undefined)
    return () => void ask({ action: 'follow_log', source: null }).catch(() => undefined)
  }, [live, source])

  // Also once when following begins: lines may have come before the app was told to say so.
  useEffect(() => {
    if (!live || asking.current) return
    const from = buffer.current
    if (from === null) return
    asking.current = true
    ask({ action: 'logs', source, ...(from.end === null ? {} : { after: from.end }) })
      .then((page) => {
        // Another log, or another piece of this one, may stand here by now.
        if (buffer.current?.end !== from.end || page.lines.length === 0) return
        buffer.current = newer(buffer.current, page)
        setReading({ kind: 'reading', buffer: buffer.current, reachingBack: false, error: null })
      })
      .catch(() => undefined)
      .finally(() => (asking.current = false))
  }, [live, growth, source])

  const reachBack = async () => {
    const from = buffer.current
    if (from === null || from.start === null) return
    setReading({ kind: 'reading', buffer: from, reachingBack: true, error: null })
    try {
      const page = await ask({ action: 'logs', source, before: from.start })
      if (buffer.current === null || buffer.current.start !== from.start) return
      buffer.current = older(buffer.current, page)
      setReading({ kind: 'reading', buffer: buffer.current, reachingBack: false, error: null })
    } catch (thrown) {
      if (buffer.current === null) return
      const error = wireErrorOf(thrown)
      setReading({ kind: 'reading', buffer: buffer.current, reachingBack: false, error })
    }
  }
  return { reading, live, reachBack, again: () => setRound(round + 1) }
}
