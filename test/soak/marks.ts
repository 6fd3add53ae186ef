import { inShell, oneCall } from './one-call.ts'

/**
 * Marks that a dispatch leaves wherever it can, and looks that find them, in the shell of busybox. A look succeeds if
 * its mark is there. Looks use what is built into the shell: each program that is started costs an emulated VM dearly.
 */
export type Mark = { id: string; title: string; leave: string; look: string }

const LOOKS = `
exists() { [ -e "$1" ] || [ -L "$1" ]; }
runs() {
  for file in /proc/[0-9]*/cmdline; do
    words=; read -r words < $file
    [ "$words" = "$1" ] && return 0
  done
  return 1
}
listens() { has_line /proc/net/tcp "*:21C8 *" || has_line /proc/net/tcp6 "*:21C8 *"; }
has_line() { while read -r line; do case "$line" in $2) return 0 ;; esac; done < "$1"; return 1; }
`

/** Left by any tool. */
const OF_USER: readonly Mark[] = [
  { id: 'file', title: 'a file in its home', leave: 'echo mark > ~/mark', look: 'exists ~/mark' },
  {
    id: 'file.hidden',
    title: 'a folder in /tmp',
    leave: 'mkdir /tmp/.d; echo mark > /tmp/.d/mark',
    look: 'exists /tmp/.d',
  },
  {
    id: 'shared-memory',
    title: 'shared memory',
    leave: 'echo mark > /dev/shm/mark',
    look: 'exists /dev/shm/mark',
  },
  {
    id: 'environment',
    title: 'an environment variable',
    leave: 'export BSM_MARK=mark; echo "export BSM_MARK=mark" >> ~/.profile',
    look: '[ -n "$BSM_MARK" ] || exists ~/.profile',
  },
  {
    id: 'process',
    title: 'a process',
    leave: 'setsid sleep 86487 </dev/null >/dev/null 2>&1 & while ! runs sleep86487; do :; done',
    look: 'runs sleep86487',
  },
  {
    id: 'timer',
    title: 'a timer',
    leave:
      'setsid sh -c "while :; do echo mark > /tmp/timer; usleep 1000; done" </dev/null >/dev/null 2>&1 & while ! exists /tmp/timer; do :; done',
    // What a timer left would write it again: it is removed, and looked for later.
    look: 'rm -f /tmp/timer; usleep 100000; exists /tmp/timer',
  },
  {
    id: 'socket',
    title: 'a listening socket',
    leave: 'setsid nc -l -p 8648 </dev/null >/dev/null 2>&1 & while ! listens; do :; done',
    look: 'listens',
  },
]

const MARK = 'bsm-mark'
/** KEY_SPEC_USER_KEYRING: it is the user's, and outlives every process. */
const OF_THE_USER = -4
/** add_key(2) */
const addKey = oneCall(217, ['user', MARK, MARK, MARK.length, OF_THE_USER])
/** shmget(2), with IPC_CREAT and rights for its owner. */
const SEGMENT = 8_648
const shmget = oneCall(194, [SEGMENT, 4_096, 0o1600])

/** Runs a program that the shell has no word for. */
const run = (name: string, program: Buffer): string =>
  `printf '${inShell(program)}' > /tmp/${name}; chmod 755 /tmp/${name}; /tmp/${name}; rm -f /tmp/${name}`

/** Left by root alone, unconfined: only a test image has a tool for that. */
const OF_ROOT: readonly Mark[] = [
  {
    id: 'system-file',
    title: 'a file of the system',
    leave: 'echo mark > /etc/mark',
    look: 'exists /etc/mark',
  },
  {
    id: 'program',
    title: 'a changed program',
    leave: 'rm -f /bin/whoami; echo "#!mark" > /bin/whoami',
    look: '[ "$(head -c 6 /bin/whoami)" = "#!mark" ]',
  },
  {
    id: 'mount',
    title: 'a mount',
    leave: 'mkdir /tmp/mnt; busybox mount -t tmpfs mark /tmp/mnt',
    look: 'has_line /proc/mounts "mark *"',
  },
  {
    id: 'hostname',
    title: 'another name of the machine',
    leave: 'echo mark > /proc/sys/kernel/hostname',
    look: 'has_line /proc/sys/kernel/hostname mark',
  },
  {
    id: 'kernel-setting',
    title: 'a kernel setting',
    leave: 'echo mark > /proc/sys/kernel/core_pattern',
    look: 'has_line /proc/sys/kernel/core_pattern mark',
  },
  {
    id: 'keyring',
    title: 'a key in a keyring of the kernel',
    leave: run('add-key', addKey),
    look: `has_line /proc/keys "*${MARK}*"`,
  },
  {
    id: 'shared-memory.system-v',
    title: 'a segment of System V shared memory',
    // The guest has segments end with their last process; root can tell it not to.
    leave: `echo 0 > /proc/sys/kernel/shm_rmid_forced; ${run('shmget', shmget)}`,
    look: `has_line /proc/sysvipc/shm "*${SEGMENT} *"`,
  },
  { id: 'cgroup', title: 'a cgroup', leave: 'mkdir /sys/fs/cgroup/mark', look: 'exists /sys/fs/cgroup/mark' },
  {
    // Out of the dispatch's cgroup, so that its end is not this one's.
    id: 'process.escaped',
    title: 'a process that left its cgroup',
    leave:
      "sh -c 'echo $$ > /sys/fs/cgroup/cgroup.procs; setsid sleep 86486 </dev/null >/dev/null 2>&1 &'; while ! runs sleep86486; do :; done",
    look: 'runs sleep86486',
  },
  {
    id: 'clock',
    title: 'a changed clock',
    leave: 'date -s "2001-02-03 04:05:06" > /dev/null',
    look: '[ "$(date +%Y)" = 2001 ]',
  },
]

/** A tool that leaves marks, and which. */
export const LEAVERS = [
  { tool: 'sh', marks: OF_USER },
  { tool: 'root.sh', marks: OF_ROOT },
] as const

/**
 * Who leaves in which dispatch of the soak. Root comes twice: root alone sees root's processes and keys, and looks for
 * what root left right behind it.
 */
export const TURNS = [LEAVERS[0], LEAVERS[1], LEAVERS[1]] as const

export const MARKS: readonly Mark[] = [...OF_USER, ...OF_ROOT]

/** Looks for every mark, whoever left it. */
export const LOOK = [
  LOOKS,
  ...MARKS.map(({ id, look }) => `if { ${look}; } 2>/dev/null; then echo "found ${id}"; fi`),
  `echo "looked ${MARKS.length}"`,
].join('\n')

/** Comes behind a look, whose words it uses. */
export const leaveAll = (marks: readonly Mark[]): string => marks.map(({ leave }) => leave).join('\n')

/** Ids of the marks that a run of `LOOK` found; throws unless it looked for each. */
export function foundIn(stdout: string): string[] {
  const lines = stdout.trim().split('\n')
  if (!lines.includes(`looked ${MARKS.length}`))
    throw new Error(`the look did not come to its end: ${stdout}`)
  return lines.flatMap((line) => /^found (.+)$/.exec(line)?.[1] ?? [])
}
