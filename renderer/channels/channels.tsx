import { Fragment } from 'react'
import { visibleLine } from '../format/hostile.ts'
import { bytes, count, milliseconds } from '../format/numbers.ts'
import { MachineTag } from '../parts/machine-tag.tsx'
import { Mark, type Shape, type Tone } from '../parts/mark.tsx'
import { Empty, Panel } from '../parts/panel.tsx'
import type { ChannelStatus } from '../protocol.ts'
import { useStore } from '../store/index.ts'

const PURPOSE: Record<ChannelStatus['port'], string> = {
  1024: 'Dispatch',
  1025: 'Evidence',
  1026: 'Query',
  1027: 'Control',
}

const LOOK: Record<ChannelStatus['state'], { word: string; shape: Shape; tone: Tone }> = {
  open: { word: 'open', shape: 'dot', tone: 'ok' },
  connecting: { word: 'connecting', shape: 'arc', tone: 'busy' },
  stalled: { word: 'stalled', shape: 'alert', tone: 'warn' },
  closed: { word: 'closed', shape: 'ring', tone: 'idle' },
}

const NONE: readonly ChannelStatus[] = []

/** The four ports between helper and guest, as the helper counts them on its side. */
export function Channels() {
  const channels = useStore((state) => state.snapshot?.helper?.channels ?? NONE)
  return (
    <Panel title="Channels" aside={channels.length > 0 && <MachineTag />}>
      {channels.length === 0 ? (
        <Empty title="No channels">They open once the guest answers.</Empty>
      ) : (
        <table className="channels">
          <thead>
            <tr>
              <th scope="col">Channel</th>
              <th scope="col" className="right">
                Round trip
              </th>
              <th scope="col" className="right">
                From guest
              </th>
              <th scope="col" className="right">
                To guest
              </th>
            </tr>
          </thead>
          <tbody>
            {channels.map((channel) => (
              <Row key={channel.port} channel={channel} />
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  )
}

function Row({ channel }: { channel: ChannelStatus }) {
  const look = LOOK[channel.state]
  const trouble = troubleWords(channel)
  return (
    <Fragment>
      <tr className={`channel ${channel.state}`}>
        <th scope="row">
          <span className="inline-mark strong">
            <Mark shape={look.shape} tone={look.tone} size={13} />
            {PURPOSE[channel.port]}
          </span>
          <span className="under">
            {channel.port} · {look.word}
          </span>
        </th>
        <td className="right num">{milliseconds(channel.rtt_ms)}</td>
        <Traffic bytes={channel.bytes_in} frames={channel.frames_in} />
        <Traffic bytes={channel.bytes_out} frames={channel.frames_out} />
      </tr>
      {trouble !== '' && (
        <tr className={`channel-trouble ${channel.state}`}>
          <td colSpan={4}>{trouble}</td>
        </tr>
      )}
    </Fragment>
  )
}

/** Redials and the last error; empty for a channel that never had any. */
function troubleWords({ reconnects, last_error: error }: ChannelStatus): string {
  const redials = reconnects === 0 ? '' : `${count(reconnects)} ${reconnects === 1 ? 'redial' : 'redials'}. `
  return (redials + (error === null ? '' : `Last error: ${visibleLine(error)}`)).trim()
}

function Traffic(props: { bytes: number; frames: number }) {
  return (
    <td className="right num">
      {bytes(props.bytes)}
      <span className="under">
        {count(props.frames)} {props.frames === 1 ? 'frame' : 'frames'}
      </span>
    </td>
  )
}
