import { useMemo } from 'react'
import { OutputView, type Piece } from '../parts/output-view.tsx'
import type { DispatchRecord, OutputStream } from '../protocol.ts'
import { useStore } from '../store/index.ts'

/** Output as it comes while a dispatch runs; afterwards what the record keeps of it. */
export function RecordedOutput({ record }: { record: DispatchRecord }) {
  const live = useStore((state) => state.outputs[record.command_id])
  const kept = useMemo(() => piecesOf(record), [record])
  const pieces = live?.segments ?? kept
  const cut = (['stdout', 'stderr'] as const).filter((stream) => record.truncated?.[stream] === true)
  return (
    <>
      {pieces.length > 0 ? (
        <OutputView pieces={pieces} dropped={live?.dropped ?? 0} label={`Output of ${record.tool}`} />
      ) : (
        <p className="quiet-text">{record.state === 'done' ? 'It wrote nothing.' : 'Nothing written yet.'}</p>
      )}
      {cut.length > 0 && (
        <p className="quiet-text">
          The result’s {cut.join(' and ')} was cut to 1 MiB; the evidence has every byte.
        </p>
      )}
    </>
  )
}

function piecesOf(record: DispatchRecord): Piece[] {
  const head = (stream: OutputStream, text: string): Piece[] =>
    text === ''
      ? []
      : [{ stream, text: record.encoding?.[stream] === 'base64' ? `[not text; base64]\n${text}` : text }]
  return [...head('stdout', record.stdout_head), ...head('stderr', record.stderr_head)]
}
