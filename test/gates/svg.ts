import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { visible, visibleLine } from '../../renderer/format/hostile.ts'
import { repository } from '../support/image.ts'

const ENTITY: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const entities = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITY[character] ?? '')

/** Text that may be anything, the output of a hostile tool included, as text of HTML or SVG or a quoted attribute. */
export const escaped = (text: string): string => entities(visible(text))
/** The same on one line. */
export const escapedLine = (text: string): string => entities(visibleLine(text))

/** Colours of the product's own page, light and dark. */
export const TOKENS = readFileSync(join(repository, 'renderer/styles/tokens.css'), 'utf8')

/** What plots wear, inline in a page or in a file of their own. */
export const PLOT_STYLE = `
.plot text { font: 12px var(--font); fill: var(--text) }
.plot .name { font-weight: 600; font-size: 13px }
.plot .quiet { fill: var(--text-3); font-size: 11px }
.plot .number { font-variant-numeric: tabular-nums }
.plot .title { font-weight: 600; font-size: 15px }
.plot .track { fill: var(--hover) }
.plot .held { fill: var(--ok) } .plot .broken { fill: var(--bad) } .plot .not-run { fill: var(--off) }
.plot .grid { stroke: var(--line) } .plot .axis { stroke: var(--line-strong) }
.plot .bar { fill: var(--accent) }
.plot .goal { stroke: var(--warn); stroke-dasharray: 3 3 } .plot text.goal-name { fill: var(--warn); font-size: 11px }
.plot .mark { stroke: var(--text); stroke-width: 1.5 }
.plot .dot { fill: var(--accent); fill-opacity: .55 } .plot .dot.broken { fill: var(--bad); fill-opacity: 1 }
.plot .range { fill: var(--accent); fill-opacity: .22 } .plot .mean { fill: none; stroke: var(--accent); stroke-width: 1.4 }
.plot .interval { fill: var(--warn); fill-opacity: .18 } .plot .fit { stroke: var(--warn); stroke-width: 1.6 }
`

/** A picture that fills the width it is given, however wide it is drawn. */
export type Picture = { width: number; height: number; label: string; body: string[] }

export const x1 = (value: number): string => value.toFixed(1)

export function text(
  x: number,
  y: number,
  className: string,
  content: string,
  anchor: 'start' | 'middle' | 'end' = 'start',
): string {
  const where = anchor === 'start' ? '' : ` text-anchor="${anchor}"`
  return `<text class="${className}" x="${x1(x)}" y="${x1(y)}"${where}>${escapedLine(content)}</text>`
}

export const rect = (x: number, y: number, width: number, height: number, attributes: string): string =>
  `<rect x="${x1(x)}" y="${x1(y)}" width="${x1(width)}" height="${x1(height)}" ${attributes}/>`

export const line = (x: number, y: number, toX: number, toY: number, className: string): string =>
  `<line class="${className}" x1="${x1(x)}" y1="${x1(y)}" x2="${x1(toX)}" y2="${x1(toY)}"/>`

const opening = ({ width, height, label }: Picture, more = ''): string =>
  `<svg ${more}class="plot" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapedLine(label)}">`

/** For a page that has `PLOT_STYLE`. */
export const inline = (picture: Picture): string => `${opening(picture)}\n${picture.body.join('\n')}\n</svg>`

const PAD = 16

/** Pictures in a grid, in a file of their own: for a document. */
export function standalone(title: string, pictures: readonly Picture[], columns = 1): string {
  const cell = { width: Math.max(...pictures.map(({ width }) => width)) + PAD }
  const rows = Array.from({ length: Math.ceil(pictures.length / columns) }, (_, row) =>
    pictures.slice(row * columns, (row + 1) * columns),
  )
  const body: string[] = []
  let y = 48
  for (const row of rows) {
    row.forEach((one, column) =>
      body.push(
        `<svg x="${PAD + column * cell.width}" y="${y}" width="${one.width}" height="${one.height}">`,
        ...one.body,
        '</svg>',
      ),
    )
    y += Math.max(...row.map(({ height }) => height)) + PAD
  }
  const whole = { width: cell.width * columns + PAD, height: y, label: title, body }
  return `${opening(whole, 'xmlns="http://www.w3.org/2000/svg" ')}
<style>${entities(TOKENS.replaceAll("'", '"'))}${PLOT_STYLE}</style>
${rect(0, 0, whole.width, whole.height, 'rx="10" style="fill: var(--panel)"')}
${text(PAD, 30, 'title', title)}
${body.join('\n')}
</svg>
`
}

/** A text cut to about a width, by the mean width of a letter. */
export function fitted(content: string, width: number, letter = 6.2): string {
  const most = Math.max(4, Math.floor(width / letter))
  const points = [...content]
  return points.length <= most ? content : `${points.slice(0, most - 1).join('')}…`
}

/** A duration as people say it. */
export function duration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1_000) return `${ms.toFixed(0)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 60) return `${minutes} min ${String(Math.floor((ms % 60_000) / 1_000)).padStart(2, '0')} s`
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`
}

/** A count with thin spaces between thousands. */
export const count = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, '\u202f')
