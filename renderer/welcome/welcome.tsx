import { visible } from '../format/hostile.ts'
import { Mark } from '../parts/mark.tsx'
import { runTool, useStore } from '../store/index.ts'

const STEPS: readonly { title: string; text: string }[] = [
  { title: 'A tool runs', text: 'An agent, or you, runs a command in a small Linux VM without a network.' },
  {
    title: 'The VM goes',
    text: 'Afterwards it is killed, and a fresh one stands ready: nothing is left behind.',
  },
  {
    title: 'The wipe is proven',
    text: 'Disk, open descriptors and hypervisor are each asked whether it held.',
  },
]

/** First run: what this is, in one screen, with the first thing to do. */
export function Welcome({ enter }: { enter: (view: 'run' | 'overview') => void }) {
  const state = useStore((store) => store.snapshot?.state)
  const message = useStore((store) => store.snapshot?.message ?? '')
  const hasUname = useStore((store) => store.snapshot?.tools.some(({ name }) => name === 'uname') === true)
  const ready = state === 'ready'
  return (
    <section className="welcome" aria-labelledby="welcome">
      <h2 id="welcome">A computer for your agents, clean every time</h2>
      <ol className="steps">
        {STEPS.map((step, i) => (
          <li key={step.title} className="step">
            <span className="step-number" aria-hidden="true">
              {i + 1}
            </span>
            <div>
              <p className="strong">{step.title}</p>
              <p>{step.text}</p>
            </div>
          </li>
        ))}
      </ol>
      <p className="inline-mark welcome-state" role="status">
        <Mark shape={ready ? 'check' : 'arc'} tone={ready ? 'ok' : 'busy'} size={14} />
        {ready ? 'Your sandbox is ready.' : visible(message)}
      </p>
      <div className="welcome-actions">
        <button
          type="button"
          className="button primary"
          disabled={!ready || !hasUname}
          onClick={() => {
            enter('run')
            void runTool('uname', {}, 30_000)
          }}
        >
          Run a first tool
        </button>
        <button type="button" className="button" onClick={() => enter('overview')}>
          Show me everything
        </button>
      </div>
      <p className="quiet-text">
        Agents get a token of their own under Settings. If a wipe ever fails its proof, everything stops until
        you decide.
      </p>
    </section>
  )
}
