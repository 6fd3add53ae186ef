import { foundIn, LEAVERS, leaveAll, LOOK } from '../../soak/marks.ts'
import { must } from '../../gates/broken.ts'
import { probe, type Defect, type Probe } from '../probe.ts'
import type { Stage } from '../stage.ts'

/** What one dispatch leaves is gone in the next, also what only root could leave. The soak does the same a thousand times. */

/** Else the end of the dispatch takes some marks, and it would not be the reset that did. */
const OUT_OF_ITS_CGROUP = 'echo $$ > /sys/fs/cgroup/cgroup.procs'

const NO_RESET: Defect = {
  when: 'a reset does nothing, nor the end of a dispatch',
  helper: 'idle-reset',
  asRoot: OUT_OF_ITS_CGROUP,
}

async function reset({ vm }: Stage): Promise<void> {
  const { failed, verification_passed } = await vm.reset()
  must(verification_passed, `the reset failed: ${failed.join(', ')}`)
}

const marks = LEAVERS.flatMap(({ tool, marks: ofTool }) =>
  ofTool.map((mark) =>
    probe({
      id: `persistence.${mark.id}`,
      group: 'Persistence',
      attacker: 'tool',
      promise: `No dispatch finds what another left: ${mark.title}.`,
      needs: 'vm',
      variant: 'test',
      slice: mark.id === 'file' || mark.id === 'process.escaped',
      run: async (stage) => {
        const command = [LOOK, leaveAll([mark]), LOOK].join('\n')
        const said = tool === 'root.sh' ? await stage.root(command) : (await stage.tool(command)).stdout
        // The second look is that the mark was left at all.
        if (!foundIn(said.slice(said.indexOf('looked'))).includes(mark.id))
          throw new Error(`it could not leave ${mark.title}: ${said}`)
        await reset(stage)
        // Root's processes and keys are not a tool's to see.
        const looks = [(await stage.tool(LOOK)).stdout, await stage.root(LOOK)]
        const found = [...new Set(looks.flatMap(foundIn))]
        must(!found.includes(mark.id), `it found ${found.join(', ')}`)
      },
      defect: NO_RESET,
    }),
  ),
)

/** Seconds of a busy machine are between the host's clock and the guest's answer; unset it would be years off. */
const FAR_SECONDS = 10

const restored: readonly Probe[] = [
  probe({
    id: 'persistence.randomness',
    group: 'Persistence',
    attacker: 'tool',
    promise: 'Two VMs from one snapshot draw different random numbers.',
    needs: 'vm',
    run: async (stage) => {
      const draw = async (): Promise<string> => {
        await reset(stage)
        const command =
          'cat /proc/sys/kernel/random/uuid; dd if=/dev/urandom bs=16 count=1 2>/dev/null | od -An -tx1'
        return (await stage.tool(command)).stdout
      }
      const [one, two] = [await draw(), await draw()]
      const same = one.split('\n').filter((line) => line.trim() !== '' && two.includes(line))
      must(same.length === 0, `both drew ${same.join(', ')}`)
    },
    defect: {
      when: 'the guest does not get new randomness',
      // What a guest that draws the same again would print. To take the seed out of its Resume is not enough: the
      // moments at which its interrupts come are other ones in each VM, and its kernel mixes them in.
      asRoot: 'cat() { echo 00000000; }; dd() { :; }',
    },
  }),
  probe({
    id: 'persistence.time',
    group: 'Persistence',
    attacker: 'tool',
    promise: 'A VM from a snapshot has the right time, not that of the snapshot.',
    needs: 'vm',
    run: async (stage) => {
      await reset(stage)
      const seconds = Number((await stage.tool('date +%s')).stdout)
      const off = Math.abs(seconds - Date.now() / 1000)
      must(off < FAR_SECONDS, `it is ${off.toFixed(0)} s off`)
    },
    defect: {
      when: 'nobody sets the clock of the guest',
      asRoot: 'date -s "2001-02-03 04:05:06" >/dev/null',
    },
  }),
]

export const PERSISTENCE: readonly Probe[] = [...marks, ...restored]
