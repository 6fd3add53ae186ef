import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as z from 'zod'
import { buildGo } from '../../support/go-binary.ts'
import type { GuestImage } from '../../support/image.ts'
import { must } from '../../gates/broken.ts'
import { probe, type Defect, type Group, type Probe } from '../probe.ts'
import type { Stage } from '../stage.ts'

/** What a tool cannot do. A program of ours tries it all, each in a process of its own (`../intruder`). */

/** Where the program is put in the guest. */
export const INTRUDER = '/tmp/intruder'
export const INTRUSION_MS = 120_000

let built: Buffer | null = null
export function intruder(): Buffer {
  if (built !== null) return built
  const dir = mkdtempSync(join(tmpdir(), 'bsm-intruder-'))
  try {
    buildGo('test/redteam/intruder', join(dir, 'intruder'), 'arm64')
    return (built = readFileSync(join(dir, 'intruder')))
  } finally {
    rmSync(dir, { recursive: true })
  }
}

/** What the program tries and a probe looks at. */
const judged = new Set<string>()

type Outcomes = Record<string, string>
/** One run tries everything; of the same image and tool a second would try the same. */
const known = new WeakMap<GuestImage, Map<string, Promise<Outcomes>>>()

function intrusion(stage: Stage): Promise<Outcomes> {
  const ofImage = known.get(stage.image) ?? new Map<string, Promise<Outcomes>>()
  known.set(stage.image, ofImage)
  const outcomes = ofImage.get(stage.privilege) ?? intrude(stage)
  ofImage.set(stage.privilege, outcomes)
  return outcomes
}

async function intrude(stage: Stage): Promise<Outcomes> {
  const { stdout, stderr, exit_code, error } = await stage.tool(INTRUDER, {
    files_in: [{ path: INTRUDER, mode: 0o755, data_b64: intruder().toString('base64') }],
    deadline_ms: INTRUSION_MS,
  })
  if (stdout === '')
    throw new Error(`the intruder ended with ${exit_code}: ${stderr} ${error?.message ?? ''}`)
  const outcomes = z.record(z.string(), z.string()).parse(JSON.parse(stdout || 'null'))
  for (const [name, outcome] of Object.entries(outcomes)) {
    const isControl = name.startsWith('control-')
    if (isControl && outcome !== 'allowed')
      throw new Error(`what is allowed was not: ${name}: ${outcome} ${stderr}`)
    if (!isControl && !judged.has(name)) throw new Error(`no probe judges ${name}`)
  }
  // Unconfined, it changes its VM: whoever comes next gets another.
  await stage.vm.reset()
  return outcomes
}

/** Refused by the filter or for want of privilege; a mere EINVAL would mean that the call was entered. */
export const REFUSED = /^(operation not permitted|function not implemented|signal: bad system call.*)$/
const OUT_OF_REACH =
  /^(permission denied|operation not permitted|no such file or directory|no such device.*|read-only file system|(open|write) .*(permission denied|operation not permitted))$/

const UNCONFINED: Defect = { when: 'a tool is root and unfiltered', asRoot: '' }

/** Else what is there has no name that a tool could try. */
const WITH_NAMES: Defect = {
  when: 'a tool is root and unfiltered, and every device has a name',
  asRoot: `mkdir -p /tmp/sys
busybox mount -t sysfs sys /tmp/sys
for file in /tmp/sys/class/*/*/dev; do
  IFS=: read -r major minor < $file || continue
  device=\${file%/dev}
  kind=c
  case $file in */class/block/*) kind=b ;; esac
  [ -e /dev/\${device##*/} ] || busybox mknod /dev/\${device##*/} $kind $major $minor
done
busybox mv /dev/hw_random /dev/hwrng
mkdir -p /dev/virtio-ports
for port in /dev/vport*; do busybox ln -sf $port /dev/virtio-ports/; done`,
}

const QUICK = ['mount-tmpfs', 'ptrace-init', 'write-vport', 'tcp-internet']

/** Probes by attempts of the program: the outcome of each has to match `pattern`. */
export const attempts = (
  group: Group,
  pattern: RegExp,
  promise: (what: string) => string,
  defect: Defect,
  names: Record<string, string>,
): Probe[] =>
  Object.entries(names).map(([name, what]) => {
    judged.add(name)
    return probe({
      id: `${group === 'Egress' ? 'egress' : 'escape'}.${name}`,
      group,
      attacker: 'tool',
      promise: promise(what),
      needs: 'vm',
      slice: QUICK.includes(name),
      budgetMs: INTRUSION_MS + 60_000,
      run: async (stage) => {
        const outcome = (await intrusion(stage))[name]
        must(outcome !== undefined && pattern.test(outcome), outcome ?? 'it was not tried')
        return outcome
      },
      defect,
    })
  })

const calls = attempts('Escape and privilege', REFUSED, (what) => `A tool cannot ${what}.`, UNCONFINED, {
  'unshare-user': 'make a user namespace',
  'unshare-mount': 'make a mount namespace',
  'unshare-pid': 'make a process namespace',
  'unshare-net': 'make a network namespace',
  'clone-user': 'clone into a user namespace',
  'clone3-user': 'clone3 into a user namespace',
  setns: 'enter a namespace',
  'ptrace-init': 'trace the dispatcher',
  'ptrace-traceme': 'have itself traced',
  'vm-readv': 'read the memory of another process',
  'vm-writev': 'write the memory of another process',
  'pidfd-getfd': 'take a descriptor of another process',
  'io-uring': 'use io_uring',
  bpf: 'load a BPF program',
  perf: 'use perf events',
  userfaultfd: 'use userfaultfd',
  keyctl: 'reach a keyring',
  'add-key': 'leave a key in a keyring',
  'request-key': 'ask a keyring for a key',
  'mount-tmpfs': 'mount a file system',
  'mount-remount': 'mount the root again, writable',
  fsopen: 'open a file system to mount',
  'open-tree': 'clone a mount',
  'pivot-root': 'pivot the root',
  chroot: 'change its root',
  'open-by-handle': 'open a file by its handle',
  reboot: 'reboot the machine',
  swapon: 'swap to a file',
  settimeofday: 'set the clock',
  'clock-settime': 'set the clock by its id',
  sethostname: 'set the host name',
  'setuid-root': 'become root',
  'mknod-vda': 'make a device node of the disk',
  'mknod-mem': 'make a device node of the memory',
  'kill-init': 'signal the dispatcher',
  'kill-others': 'signal any process but its own, the bridge among them',
  'ptrace-others': 'trace any process but its own, the bridge among them',
  'socket-alg': "reach the kernel's cryptography",
})

const LOADS = ['init-module', 'finit-module', 'kexec', 'kexec-file']
for (const name of LOADS) judged.add(name)

/** Root is refused these too, by a kernel that was sealed: that a tool is refused says nothing of the seal. */
const sealed = probe({
  id: 'escape.sealed-kernel',
  group: 'Escape and privilege',
  attacker: 'tool',
  promise: 'A tool can load neither a module nor another kernel, and the kernel is sealed against both.',
  needs: 'vm',
  budgetMs: INTRUSION_MS + 60_000,
  run: async (stage) => {
    const outcomes = await intrusion(stage)
    for (const name of LOADS) must(REFUSED.test(outcomes[name] ?? ''), `${name}: ${outcomes[name]}`)
    const seals = ['modules_disabled', 'kexec_load_disabled'].map((name) => `/proc/sys/kernel/${name}`)
    const { stdout } = await stage.tool(`cat ${seals.join(' ')}`)
    must(stdout === '1\n1\n', `the seals say ${stdout}`)
  },
  defect: {
    when: 'the kernel is not sealed',
    // A seal cannot be broken: what a kernel without one would say lies over it.
    asRoot: `echo 0 > /tmp/unsealed
for seal in modules_disabled kexec_load_disabled; do busybox mount --bind /tmp/unsealed /proc/sys/kernel/$seal; done`,
  },
})

const places = attempts(
  'Escape and privilege',
  OUT_OF_REACH,
  (what) => `A tool cannot ${what}.`,
  WITH_NAMES,
  {
    'read-vport': 'read a virtio port',
    'write-vport': 'write to a virtio port',
    'read-virtio-port': 'read a virtio port by its name',
    'read-vsock-dev': 'open the device of vsock',
    'read-mem': 'read the physical memory',
    'read-hvc': 'read the console',
    'write-hvc': 'write to the console',
    'read-vda': 'read the disk as a device',
    'write-vda': 'write to the disk as a device',
    'read-kmsg': 'read the kernel log',
    'read-kcore': "read the kernel's memory",
    'read-hwrng': 'drain the hardware random number generator',
    'read-init-env': "read the dispatcher's environment",
    'read-init-mem': "open the dispatcher's memory",
    'read-init-maps': "read the dispatcher's memory map",
    'list-init-fds': "follow the dispatcher's descriptors",
    'write-sysrq': 'press SysRq',
    'write-sysctl': 'write a kernel setting',
    'write-cgroup': 'leave its cgroup',
    'write-oom': 'hide from the OOM killer',
    'read-init-exe': "read the dispatcher's program",
    'write-run-bsm': 'put a file where the dispatcher has its own',
    'write-overlay': 'write to the memory below its file system',
    'write-passwd': 'change who is who',
    'write-power': 'put the machine to sleep',
    'write-unbind': 'take a device from its driver',
    'write-pci-config': 'configure a PCI device',
    'read-sections': "read where the kernel's modules lie",
  },
)

/** What a shell sees of its own confinement. */
const seen = (
  id: string,
  promise: string,
  command: string,
  isFine: (stdout: string) => boolean,
  defect: Defect = UNCONFINED,
): Probe =>
  probe({
    id: `escape.${id}`,
    group: 'Escape and privilege',
    attacker: 'tool',
    promise,
    needs: 'vm',
    run: async (stage) => {
      const { stdout } = await stage.tool(command)
      must(isFine(stdout), stdout.slice(0, 500))
    },
    defect,
  })

const views: readonly Probe[] = [
  seen(
    'user',
    'A tool is an unprivileged user without other groups.',
    'id',
    (stdout) => /^uid=1000\(sandbox\) gid=1000\(sandbox\)/.test(stdout) && !/groups=.*\b0\b/.test(stdout),
  ),
  seen(
    'capabilities',
    'A tool has no capability in any set.',
    'grep ^Cap /proc/self/status',
    (stdout) => stdout.trim().split('\n').length === 5 && /^(Cap\w+:\s+0{16}\n?){5}$/.test(stdout),
  ),
  seen('no-new-privs', 'A tool can gain no privilege.', 'grep NoNewPrivs /proc/self/status', (stdout) =>
    /NoNewPrivs:\s+1/.test(stdout),
  ),
  seen('seccomp', 'A tool runs under a seccomp filter.', 'grep "^Seccomp:" /proc/self/status', (stdout) =>
    /Seccomp:\s+2/.test(stdout),
  ),
  seen(
    'descriptors',
    'A tool inherits no descriptor but its three streams.',
    'ls /proc/self/fd',
    // the fourth is the directory that ls itself reads
    (stdout) => stdout.trim() === '0\n1\n2\n3',
    { when: 'a descriptor is handed on', asRoot: 'exec 7</dev/null' },
  ),
  seen(
    'cgroup',
    'A tool has a cgroup of its own.',
    'cat /proc/self/cgroup',
    (stdout) => /^0::\/.+/m.test(stdout),
    { when: 'a tool is in the root cgroup', asRoot: 'echo $$ > /sys/fs/cgroup/cgroup.procs' },
  ),
  seen(
    'command-lines',
    'A tool sees no process of the dispatcher.',
    'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" "\\n"; true',
    (stdout) => !/\/init|dispatcher|bridge|bsm/i.test(stdout),
  ),
  seen(
    'setuid-programs',
    'There is no setuid program.',
    'find / -xdev -perm -4000 -type f 2>/dev/null | head; echo end',
    (stdout) => stdout === 'end\n',
    { when: 'a program is setuid', asRoot: 'cp /bin/busybox /tmp/su; chmod 4755 /tmp/su' },
  ),
  seen(
    'writable-places',
    'Nothing but its home and temporary places is writable for a tool.',
    // busybox's find has no -writable
    'find / -xdev -type d 2>/dev/null | while read -r place; do [ -w "$place" ] && echo "$place"; done | grep -vE "^/(proc|tmp|var/tmp|dev/shm|home/sandbox|run/user)" ; echo end',
    (stdout) => stdout === 'end\n',
  ),
]

export const CONFINEMENT: readonly Probe[] = [...calls, sealed, ...places, ...views]
