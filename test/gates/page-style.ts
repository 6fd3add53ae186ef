import { PLOT_STYLE, TOKENS } from './svg.ts'

/** The page's whole style: the product's own colours, and nothing from elsewhere. */
export const PAGE_STYLE = `${TOKENS}
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.5 var(--font) }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem }
h1, h2, h3, p { margin: 0 }
h1 { font-size: clamp(1.6rem, 5vw, 2.25rem); line-height: 1.15; letter-spacing: -0.02em; text-wrap: balance }
h2 { font-size: 1.2rem; letter-spacing: -0.01em }
h3 { font-size: 0.95rem }
.over { color: var(--text-3); font-size: 0.85rem; margin-bottom: 0.75rem }
.verdict { display: grid; grid-template-columns: auto 1fr; gap: 1rem; align-items: start }
.verdict p { color: var(--text-2); margin-top: 0.6rem; max-width: 44rem }
.sign { display: inline-grid; place-items: center; flex: none; border-radius: 50%; color: var(--on-mark); width: 1.15rem; height: 1.15rem; font-size: 0.7rem; font-weight: 700; line-height: 1; background: var(--idle) }
.sign.held { background: var(--ok) } .sign.broken { background: var(--bad) } .sign.not-run { background: var(--idle) }
.verdict .sign { width: 2.5rem; height: 2.5rem; font-size: 1.4rem }
.figures { display: flex; flex-wrap: wrap; gap: 1px; margin: 2rem 0 0; background: var(--line); border-radius: var(--radius); overflow: hidden; box-shadow: var(--shadow) }
.figures div { flex: 1 1 8.5rem; background: var(--panel); padding: 0.9rem 1rem }
.figures dt, .facts dt { color: var(--text-3); font-size: 0.8rem }
.figures dd { margin: 0; font-size: 1.6rem; font-weight: 650; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; line-height: 1.2; white-space: nowrap }
.figures small { display: block; color: var(--text-3); font-size: 0.75rem; font-weight: 400; letter-spacing: 0; white-space: normal }
.bad { color: var(--bad) }
section { margin-top: 2.75rem }
section > header { margin-bottom: 0.9rem }
section > header p { color: var(--text-2); font-size: 0.9rem; max-width: 44rem; margin-top: 0.15rem }
.panel { background: var(--panel); border-radius: var(--radius); box-shadow: var(--shadow); padding: 1.1rem 1.2rem; min-width: 0 }
.panel + .panel { margin-top: 0.75rem }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: 0.75rem }
.grid .panel { margin: 0 }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1.5rem 2rem }
.plot { display: block; width: 100%; height: auto; overflow: visible }
.narrow { display: none }
.title { display: flex; gap: 0.5rem; align-items: center; justify-content: space-between; margin-bottom: 0.6rem }
.badge { color: var(--text-3); font-size: 0.75rem; white-space: nowrap }
.facts { display: grid; grid-template-columns: auto 1fr; gap: 0.1rem 0.8rem; margin: 0.6rem 0 0; font-size: 0.85rem }
.facts dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
.share { display: flex; height: 8px; border-radius: 4px; overflow: hidden; gap: 1px; background: var(--hover) }
.share i { background: var(--off) } .share .held { background: var(--ok) } .share .broken { background: var(--bad) }
.finding { border-left: 3px solid var(--idle) }
.finding.broken { border-left-color: var(--bad) }
.finding .who { color: var(--text-3); font-size: 0.8rem; margin-top: 0.1rem; overflow-wrap: anywhere }
.finding h3, .promise { overflow-wrap: anywhere }
pre { margin: 0.6rem 0 0; padding: 0.6rem 0.75rem; background: var(--sunken); border-radius: var(--radius-s); font: 0.8rem/1.45 var(--mono); white-space: pre-wrap; overflow-wrap: anywhere; max-height: 16rem; overflow: auto }
code { font-family: var(--mono); font-size: 0.85em }
details { background: var(--panel); border-radius: var(--radius); box-shadow: var(--shadow) }
details + details, h3 + details { margin-top: 0.5rem }
details + h3 { margin-top: 1.5rem }
summary { display: flex; gap: 0.75rem; align-items: center; padding: 0.75rem 1.2rem; cursor: pointer; list-style: none; border-radius: var(--radius) }
summary::-webkit-details-marker { display: none }
summary::before { content: '›'; color: var(--text-3); font-size: 1.2rem; line-height: 1; transition: rotate var(--quick) }
details[open] > summary::before { rotate: 90deg }
summary:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px }
summary b { flex: 1; font-weight: 600 }
summary .share { width: 5rem; flex: none }
summary span { color: var(--text-3); font-size: 0.8rem; font-variant-numeric: tabular-nums; text-align: right }
table { width: 100%; border-collapse: collapse; font-size: 0.875rem }
.table { padding: 0 1.2rem 0.6rem }
th { text-align: left; font-weight: 400; color: var(--text-3); font-size: 0.8rem; padding: 0.4rem 0.5rem 0.4rem 0; border-bottom: 1px solid var(--line) }
td { padding: 0.55rem 0.5rem 0.55rem 0; vertical-align: top; border-bottom: 1px solid var(--line) }
tr:last-child > td { border-bottom: 0 }
td small { display: block; color: var(--text-3); font-size: 0.75rem; overflow-wrap: anywhere }
td.cell, th.cell { width: 7.5rem; padding-right: 0; padding-left: 0.5rem }
.cell p { display: flex; gap: 0.4rem; align-items: center; white-space: nowrap }
.reason { color: var(--text-2); margin: 0.25rem 0 0; font-size: 0.8rem; white-space: pre-wrap; overflow-wrap: anywhere }
.reason b { font-weight: 600 }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--text-3); font-size: 0.85rem }
footer p + p { margin-top: 0.5rem }
${PLOT_STYLE}
@media (max-width: 40rem) {
  main { padding: 1.5rem 1rem 3rem }
  .wide { display: none } .narrow { display: block }
  .table { padding: 0 1rem 0.5rem }
  table, tbody, tr, td { display: block }
  thead { display: none }
  tr { padding: 0.6rem 0; border-bottom: 1px solid var(--line) }
  tr:last-child { border-bottom: 0 }
  td, td.cell { border: 0; padding: 0.1rem 0; width: auto }
  td.cell::before { content: attr(data-run); color: var(--text-3); font-size: 0.8rem }
  td.cell { display: grid; grid-template-columns: 1fr 5.5rem 4.5rem; align-items: center }
  td.cell small { text-align: right }
  summary .share { display: none }
}
@media print {
  :root { color-scheme: light }
  body { background: #fff; font-size: 11px }
  main { max-width: none; padding: 0 }
  details::details-content { content-visibility: visible; block-size: auto }
  .panel, details, .figures { box-shadow: none; border: 1px solid #ccc }
  .panel, tr, .plot { break-inside: avoid }
  pre { max-height: none }
}
`
