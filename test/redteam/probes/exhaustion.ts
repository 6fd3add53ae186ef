import type { ExecExtras } from '../../support/helper.ts'
import { must } from '../../gates/broken.ts'
import { probe, type Defect, type Probe } from '../probe.ts'
import type { Stage } from '../stage.ts'

/** A tool that takes all it can get, or will not end: it gets its share, ends with its dispatch, and the VM serves on. */

const OUT_OF_ITS_CGROUP = 'echo $$ > /sys/fs/cgroup/cgroup.procs'
const UNLIMITED: Defect = { when: 'a tool has no cgroup of its own', asRoot: OUT_OF_ITS_CGROUP }

/** The VM answers, runs a tool, is wiped, and runs one again. */
async function stillServes({ vm }: Stage): Promise<void> {
  must((await vm.query('ProcessList')).error === undefined, 'it no longer tells its processes')
  must((await vm.exec('echo', { text: 'fine' })).exit_code === 0, 'it no longer runs a tool')
  const { failed, verification_passed } = await vm.reset()
  must(verification_passed, `its reset failed: ${failed.join(', ')}`)
  must((await vm.exec('echo', { text: 'fine' })).exit_code === 0, 'it runs no tool after a reset')
}

/** Names of processes that run in the guest. */
async function running({ vm }: Stage): Promise<string[]> {
  const { result, error } = await vm.query('ProcessList')
  must(result !== undefined, `it does not tell its processes: ${error?.code} ${error?.message}`)
  return (result as { processes: { name: string }[] }).processes.map(({ name }) => name)
}

type Bomb = {
  id: string
  promise: string
  /** Prints how much it got, one number a line; cut off, the last line counts. */
  command: string
  most: number
  unit: string
  extras?: ExecExtras
  defect?: Defect
}

/** As the guest of 256 MiB has them: 256 processes, all memory but 80 MiB, half of it for the overlay and for /dev/shm. */
const bombs: readonly Bomb[] = [
  {
    id: 'processes',
    promise: 'A fork bomb gets no more than the processes of its share.',
    command: 'i=0; while [ $i -lt 400 ]; do sleep 50 & i=$((i+1)); echo $i; done',
    most: 256,
    unit: 'processes',
    extras: { deadline_ms: 20_000 },
  },
  {
    id: 'memory',
    promise: 'A tool gets no more memory than its share, and dies alone.',
    command:
      'x=$(dd if=/dev/zero bs=65536 count=16 2>/dev/null | tr "\\0" x); i=1; while [ $i -lt 256 ]; do eval "v$i=\\$x"; echo $i; i=$((i+1)); done',
    most: 160,
    unit: 'MiB',
    extras: { deadline_ms: 30_000 },
  },
  {
    id: 'shared-memory',
    promise: 'A tool gets no more shared memory than its share.',
    command:
      'i=0; while [ $i -lt 220 ]; do dd if=/dev/zero bs=1048576 count=4 2>/dev/null >> /dev/shm/bomb || break; i=$((i+4)); echo $i; done',
    most: 128,
    unit: 'MiB',
    extras: { deadline_ms: 30_000 },
    defect: {
      when: '/dev/shm has no size',
      asRoot: `${OUT_OF_ITS_CGROUP}; busybox mount -t tmpfs -o size=100% big /dev/shm`,
    },
  },
  {
    id: 'disk',
    promise: 'What a tool writes to disk is bounded.',
    command:
      'i=0; while [ $i -lt 220 ]; do dd if=/dev/zero bs=1048576 count=4 2>/dev/null >> ~/bomb || break; i=$((i+4)); echo $i; done',
    most: 128,
    unit: 'MiB',
    extras: { deadline_ms: 30_000 },
    defect: {
      when: 'the overlay has no size',
      asRoot: `${OUT_OF_ITS_CGROUP}; busybox mount -t tmpfs -o size=100% big ~`,
    },
  },
  {
    id: 'descriptors',
    promise: 'A tool opens no more descriptors than its limit.',
    command: 'i=3; while [ $i -lt 5000 ]; do eval "exec $i</dev/null" || break; i=$((i+1)); echo $i; done',
    most: 4096,
    unit: 'descriptors',
    extras: { deadline_ms: 30_000 },
    defect: { when: 'no limit of descriptors is set', asRoot: 'ulimit -n 100000' },
  },
]

const bounded = bombs.map(({ id, promise, command, most, unit, extras, defect }) =>
  probe({
    id: `exhaustion.${id}`,
    group: 'Exhaustion',
    attacker: 'tool',
    promise,
    needs: 'vm',
    slice: id === 'descriptors',
    fullRunOnly: id === 'memory' || id === 'processes',
    run: async (stage) => {
      const { stdout } = await stage.tool(command, extras)
      const got = Number(stdout.trim().split('\n').at(-1) ?? 0)
      if (!(got > 0)) throw new Error(`it got nothing, so that nothing is shown: ${stdout.slice(0, 200)}`)
      must(got <= most, `it got ${got} ${unit}`)
      await stillServes(stage)
      return `${got} ${unit}`
    },
    defect: defect ?? UNLIMITED,
  }),
)

const DEADLINE_MS = 1_500

const ESCAPED: Defect = {
  when: 'a process of it leaves its cgroup',
  asRoot: `sh -c '${OUT_OF_ITS_CGROUP}; setsid sleep 4343 >/dev/null 2>&1 </dev/null &'`,
}

/** Ends with its dispatch, whatever it does against that. Each goes on past its deadline where it may. */
const dodges: readonly { id: string; what: string; command: string; defect?: Defect }[] = [
  {
    id: 'ignored-signals',
    what: 'ignores every signal that can be',
    command: 'trap "" HUP INT TERM QUIT USR1 USR2 PIPE ALRM; sleep 4343',
  },
  {
    id: 'stopped',
    what: 'stopped itself',
    command: 'sleep 4343 & kill -STOP $!; kill -STOP $$; sleep 4343',
  },
  {
    id: 'busy',
    what: 'computes without end on every processor',
    command: 'for i in 1 2 3 4; do (while :; do :; done) & done; sleep 4343',
    defect: { when: 'any end of a tool is a good one', helper: 'believing' },
  },
  {
    id: 'swarm',
    what: 'starts one process after the other',
    // The shell that is refused one more ends; the first one does not.
    command: 'f() { sleep 4343 & f; }; f & exec sleep 4343',
  },
  {
    id: 'fork-bomb',
    what: 'is a fork bomb',
    command: 'f() { f | f & }; f; exec sleep 4343',
  },
  {
    id: 'files',
    what: 'writes files without end',
    command: 'i=0; while :; do echo x > /tmp/$i; i=$((i+1)); done',
  },
]

/** Nothing of a tool runs any more. */
async function isGone(stage: Stage, before: string[]): Promise<void> {
  const left = (await running(stage)).filter((name) => /sleep|busybox|^sh$/.test(name))
  must(left.length === 0, `still there: ${left.join(', ')} (before: ${before.join(', ')})`)
}

const ended = dodges.map(({ id, what, command, defect }) =>
  probe({
    id: `deadline.${id}`,
    group: 'Exhaustion',
    attacker: 'tool',
    promise: `A tool that ${what} ends at its deadline, whole.`,
    needs: 'vm',
    run: async (stage) => {
      const before = await running(stage)
      const { exit_code, error } = await stage.tool(command, { deadline_ms: DEADLINE_MS })
      // The guest ended it in time: were it late, the helper would have ended the VM, with another error.
      must(
        exit_code === 137 && error?.code === 'SANDBOX_TOOL_TIMEOUT',
        `it ended with ${exit_code} ${JSON.stringify(error)}`,
      )
      await isGone(stage, before)
      await stillServes(stage)
    },
    defect: defect ?? ESCAPED,
  }),
)

const doubleFork = probe({
  id: 'deadline.double-fork',
  group: 'Exhaustion',
  attacker: 'tool',
  promise: 'What a tool forked twice, out of its session, ends when the tool does.',
  needs: 'vm',
  slice: true,
  run: async (stage) => {
    const before = await running(stage)
    const { exit_code, error } = await stage.tool(
      '(setsid sh -c "exec sleep 4343" >/dev/null 2>&1 </dev/null &); usleep 200000',
      { deadline_ms: 30_000 },
    )
    must(exit_code === 0, `it ended with ${exit_code} ${JSON.stringify(error)}`)
    await isGone(stage, before)
    await stillServes(stage)
  },
  defect: UNLIMITED,
})

export const EXHAUSTION: readonly Probe[] = [...bounded, doubleFork, ...ended]
