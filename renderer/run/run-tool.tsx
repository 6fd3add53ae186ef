import { useState } from 'react'
import { visible, visibleLine } from '../format/hostile.ts'
import { Empty, Panel } from '../parts/panel.tsx'
import type { ToolSpec } from '../protocol.ts'
import { useStore } from '../store/index.ts'
import { presetsFor, type Preset } from './presets.ts'
import { RunResult } from './run-result.tsx'
import { ToolForm } from './tool-form.tsx'

const NONE: readonly ToolSpec[] = []

/** Runs one tool by hand: the form is made of what the image declares. */
export function RunTool() {
  const tools = useStore((state) => state.snapshot?.tools ?? NONE)
  const fresh = useStore((state) => state.snapshot?.dispatches.length === 0)
  const [chosen, setChosen] = useState<string | null>(null)
  const [preset, setPreset] = useState<Preset | null>(null)
  /** A new form for each choice, so that nothing typed for one tool is sent to another. */
  const [round, setRound] = useState(0)
  const presets = presetsFor(tools)
  const name = chosen ?? presets[0]?.tool
  const tool = tools.find((candidate) => candidate.name === name) ?? tools[0]
  const choose = (next: string, from: Preset | null) => {
    setChosen(next)
    setPreset(from)
    setRound(round + 1)
  }
  return (
    <Panel title="Run a tool">
      {tool === undefined ? (
        <Empty title="No tools yet">The image names its tools once the sandbox has started.</Empty>
      ) : (
        <>
          {presets.length > 0 && (
            <div className="presets" role="group" aria-label="Try">
              {presets.map((candidate) => (
                <button
                  key={candidate.label}
                  type="button"
                  className="chip"
                  aria-pressed={preset === candidate}
                  onClick={() => choose(candidate.tool, candidate)}
                >
                  {candidate.label}
                </button>
              ))}
            </div>
          )}
          {fresh && presets.length > 1 && (
            <p className="quiet-text">
              Each tool runs in a VM that is wiped afterwards. Leave a file, then look for it: the second run
              is given another VM.
            </p>
          )}
          <div className="field">
            <label htmlFor="run-tool">Tool</label>
            <select
              id="run-tool"
              className="input"
              value={tool.name}
              aria-describedby="run-tool-help"
              onChange={(event) => choose(event.target.value, null)}
            >
              {tools.map((candidate) => (
                <option key={candidate.name} value={candidate.name}>
                  {visibleLine(candidate.name)}
                </option>
              ))}
            </select>
            <p id="run-tool-help" className="help">
              {visible(tool.description)}
            </p>
          </div>
          <ToolForm key={`${tool.name} ${round}`} tool={tool} preset={preset?.params ?? {}} />
          <RunResult />
        </>
      )}
    </Panel>
  )
}
