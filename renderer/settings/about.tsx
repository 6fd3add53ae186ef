import { visibleLine } from '../format/hostile.ts'
import { Digest } from '../parts/digest.tsx'
import { machineWords } from '../parts/machine-tag.tsx'
import { Panel } from '../parts/panel.tsx'
import { useStore } from '../store/index.ts'

/** What runs here, by version and digest. */
export function About() {
  const version = useStore((state) => state.snapshot?.version ?? '')
  const machine = useStore((state) => state.machine)
  const image = useStore((state) => state.snapshot?.helper?.image ?? null)
  return (
    <Panel title="About">
      <dl className="facts">
        <div className="fact">
          <dt>Brainstorm Sandbox</dt>
          <dd>{visibleLine(version)}</dd>
        </div>
        <div className="fact">
          <dt>Runs on</dt>
          <dd>{machine === null ? '—' : machineWords(machine.backend, machine.accelerator)}</dd>
        </div>
        <div className="fact wide">
          <dt>Image in use</dt>
          <dd>
            {image === null ? (
              'none: the VM is off'
            ) : (
              <>
                {visibleLine(image.recipe)} {visibleLine(image.image_version)}{' '}
                <Digest value={image.image_digest} of="image digest" />
              </>
            )}
          </dd>
        </div>
      </dl>
    </Panel>
  )
}
