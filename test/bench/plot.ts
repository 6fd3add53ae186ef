import type { Figures, Samples } from './measure.ts'

const WIDTH = 860
const ROW = 44
const LEFT = 230
const RIGHT = 90

type Row = { name: string; ms: number; sample?: readonly number[]; ours: boolean }

/** A plot on a logarithmic axis: the product's ways to a clean VM beside those without it. */
export function plot(figures: Figures, samples: Samples): string {
  const rows: Row[] = [
    { name: 'cold boot, bare QEMU', ms: figures.raw_cold_boot_ms, ours: false },
    { name: 'cold boot', ms: figures.cold_boot_ms, sample: samples.cold_boot_ms, ours: true },
    { name: 'QEMU loadvm', ms: figures.loadvm_ms, sample: samples.loadvm_ms, ours: false },
    { name: 'verified reset, back to back', ms: figures.reset_back_to_back_ms, ours: true },
    { name: 'verified reset', ms: figures.reset_ms, sample: samples.reset_ms, ours: true },
  ]
  const all = rows.flatMap(({ ms, sample }) => [ms, ...(sample ?? [])])
  const low = 10 ** Math.floor(Math.log10(Math.min(...all)))
  const high = 10 ** Math.ceil(Math.log10(Math.max(...all)))
  const x = (ms: number) =>
    LEFT +
    ((Math.log10(ms) - Math.log10(low)) / (Math.log10(high) - Math.log10(low))) * (WIDTH - LEFT - RIGHT)
  const height = 70 + rows.length * ROW + 30
  const ticks = []
  for (let tick = low; tick <= high; tick *= 10)
    ticks.push(
      `<line class="grid" x1="${x(tick)}" x2="${x(tick)}" y1="58" y2="${height - 36}"/>`,
      `<text class="tick" x="${x(tick)}" y="${height - 16}" text-anchor="middle">${tick} ms</text>`,
    )
  const bars = rows.flatMap(({ name, ms, sample, ours }, i) => {
    const y = 70 + i * ROW
    return [
      `<text class="name" x="${LEFT - 14}" y="${y + 15}" text-anchor="end">${name}</text>`,
      `<rect class="${ours ? 'ours' : 'bare'}" x="${LEFT}" y="${y}" width="${(x(ms) - LEFT).toFixed(1)}" height="20" rx="4"/>`,
      ...(sample ?? []).map(
        (value) => `<circle class="dot" cx="${x(value).toFixed(1)}" cy="${y + 27}" r="2.2"/>`,
      ),
      `<text class="value" x="${x(ms) + 8}" y="${y + 15}">${ms.toFixed(ms < 100 ? 1 : 0)} ms</text>`,
    ]
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Ways to a clean VM, in milliseconds">
<style>
  text { font: 13px system-ui, sans-serif; fill: #1d1d1f } .title { font-weight: 600; font-size: 16px } .tick { fill: #6e6e73; font-size: 11px }
  .value { font-variant-numeric: tabular-nums } .ours { fill: #0a66d8 } .bare { fill: #a1a1a8 } .dot { fill: #1d1d1f; opacity: .3 } .grid { stroke: #d2d2d7 }
  @media (prefers-color-scheme: dark) { text { fill: #f5f5f7 } .tick { fill: #98989d } .ours { fill: #409cff } .dot { fill: #f5f5f7 } .grid { stroke: #3a3a3c } svg { background: #1d1d1f } }
</style>
<text class="title" x="16" y="28">Ways to a clean VM: medians, logarithmic axis (${figures.backend}, ${figures.accelerator})</text>
${[...ticks, ...bars].join('\n')}
</svg>
`
}
