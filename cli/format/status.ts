import type { AppSnapshot, ChannelStatus, DispatchRecord, HelperStatus } from '../../core/protocol/index.ts'
import { escapeLine } from './escape.ts'
import { table } from './table.ts'
import { ago, bytes, duration, shortDigest } from './units.ts'
import { resetLines } from './verdict.ts'

const CARRIES = { 1024: 'dispatch', 1025: 'evidence', 1026: 'query', 1027: 'control' } as const
const DISPATCHES_SHOWN = 8

/** A snapshot for a terminal. */
export function statusLines(snapshot: AppSnapshot, columns: number | null, now = Date.now()): string[] {
  const { helper } = snapshot
  return [
    `Brainstorm Sandbox ${snapshot.version}: ${snapshot.state} since ${ago(snapshot.since, now)}`,
    ...indent([escapeLine(snapshot.message)]),
    ...trouble(snapshot, now),
    ...(helper === null ? [] : ['', ...vm(helper, columns, now)]),
    ...(helper === null || helper.channels.length === 0 ? [] : ['', ...channels(helper.channels)]),
    ...lastReset(snapshot, now),
    ...lastDispatches(snapshot, now),
  ]
}

const indent = (lines: string[]): string[] => lines.map((line) => `  ${line}`)

function trouble(
  { error, degraded, helper_restarts: restarts, last_crash: crash }: AppSnapshot,
  now: number,
): string[] {
  const lines: string[] = []
  if (degraded)
    lines.push(
      `DEGRADED since ${ago(degraded.since, now)}: ${escapeLine(degraded.message)} (${degraded.code})`,
      'next: look at it, then `bsm recover --reason TEXT`',
    )
  if (error) {
    lines.push(`error: ${escapeLine(error.message)} (${error.code}, ${error.layer ?? 'app'})`)
    if (error.next_step) lines.push(`next: ${escapeLine(error.next_step)}`)
  }
  if (restarts > 0) lines.push(`helper restarted ${restarts} times${crash ? `: ${escapeLine(crash)}` : ''}`)
  return indent(lines)
}

function vm(helper: HelperStatus, columns: number | null, now: number): string[] {
  const { image, golden, standby, guest } = helper
  const boot =
    helper.boot_path === null || helper.boot_ms === null
      ? ''
      : `, ${helper.boot_path} in ${duration(helper.boot_ms)}`
  const rows: string[][] = [
    ['VM', `${helper.vmm_api_state}${boot}${helper.booted_at ? `, ${ago(helper.booted_at, now)}` : ''}`],
    ...(helper.cold_boot_reason === undefined
      ? []
      : [['booted from cold', escapeLine(helper.cold_boot_reason)]]),
    ['backend', `${helper.backend}, ${helper.accelerator}, ${helper.cpus} vCPU, ${helper.memory_mib} MiB`],
    [
      'image',
      image
        ? `${escapeLine(image.recipe)} ${escapeLine(image.image_version)}, rootfs ${shortDigest(image.rootfs_digest)}`
        : 'without a manifest',
    ],
    [
      'golden',
      golden
        ? `${shortDigest(golden.golden_hash)}, ${bytes(golden.bytes)}, made ${ago(golden.created_at, now)}`
        : 'none',
    ],
    ['standby', standbyText(standby)],
  ]
  if (guest)
    rows.push([
      'guest',
      `${bytes(guest.bytes_used)} of ${bytes(guest.bytes_total)}, ${guest.processes} processes, overlay ${bytes(guest.overlay_bytes)}`,
    ])
  if (helper.host_rss_bytes !== null)
    rows.push(['on the host', `${bytes(helper.host_rss_bytes)}, ${helper.vm_id ?? ''}`])
  if (helper.exec)
    rows.push(['running', `${escapeLine(helper.exec.tool)} since ${ago(helper.exec.started_at, now)}`])
  return table(rows, { indent: '  ', columns })
}

function standbyText(standby: HelperStatus['standby']): string {
  const ms = standby.prepare_ms === null ? null : duration(standby.prepare_ms)
  const took =
    ms === null ? '' : standby.state === 'ready' ? `, prepared in ${ms}` : `; the last one took ${ms}`
  const why = standby.message === undefined ? '' : `: ${escapeLine(standby.message)}`
  return `${standby.state}${took}${why}`
}

function channels(list: ChannelStatus[]): string[] {
  const lines = table(
    [
      ['port', 'carries', 'state', 'rtt', 'in', 'out', 'frames', 'reconnects'],
      ...list.map((channel) => [
        String(channel.port),
        CARRIES[channel.port],
        channel.state,
        channel.rtt_ms === null ? '–' : duration(channel.rtt_ms),
        bytes(channel.bytes_in),
        bytes(channel.bytes_out),
        `${channel.frames_in}/${channel.frames_out}`,
        String(channel.reconnects),
      ]),
    ],
    { indent: '  ' },
  )
  const errors = list.flatMap(({ port, last_error: error }) =>
    error === null ? [] : [`  last error of ${port}: ${escapeLine(error)}`],
  )
  return [...lines, ...errors]
}

function lastReset(snapshot: AppSnapshot, now: number): string[] {
  const report = snapshot.resets[0] ?? snapshot.helper?.last_reset
  if (!report) return []
  const [verdict = '', ...rest] = resetLines(report)
  return ['', `  last reset, ${ago(report.reset_at, now)}: ${verdict}`, ...rest.map((line) => `    ${line}`)]
}

function lastDispatches(snapshot: AppSnapshot, now: number): string[] {
  if (snapshot.dispatches.length === 0) return []
  const shown = snapshot.dispatches.slice(0, DISPATCHES_SHOWN)
  const queued = snapshot.queue_length > 0 ? ` (${snapshot.queue_length} queued)` : ''
  return [
    '',
    `  last dispatches${queued}`,
    ...table(
      [
        ['tool', 'client', 'when', 'state', 'exit', 'took', 'wiped'],
        ...shown.map((record) => dispatchRow(record, now)),
      ],
      { indent: '    ' },
    ),
  ]
}

function dispatchRow(record: DispatchRecord, now: number): string[] {
  return [
    escapeLine(record.tool),
    escapeLine(record.client),
    ago(record.queued_at, now),
    record.state,
    record.error?.code ?? (record.exit_code === null ? '–' : String(record.exit_code)),
    record.duration_ms === null ? '–' : duration(record.duration_ms),
    record.reset_passed === null ? '–' : record.reset_passed ? '✓' : '✗',
  ]
}
