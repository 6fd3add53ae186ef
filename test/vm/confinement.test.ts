import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as z from 'zod'
import { buildGo } from '../support/go-binary.ts'
import { VM_TEST_MS, useBench } from './bench.ts'

/** What a tool cannot do (architecture, issue: the guest). The probe tries; see `probe/main.go`. */
describe('a tool is confined', () => {
  const bench = useBench()
  const dir = mkdtempSync(join(tmpdir(), 'bsm-probe-'))
  let outcomes: Record<string, string> = {}

  beforeAll(async () => {
    buildGo('test/vm/probe', join(dir, 'probe'), 'arm64')
    await bench.shared(async ({ vm }) => {
      const data_b64 = readFileSync(join(dir, 'probe')).toString('base64')
      const path = '/home/sandbox/probe'
      const { stdout, stderr } = await vm.sh(path, {
        files_in: [{ path, mode: 0o755, data_b64 }],
        deadline_ms: 120_000,
      })
      expect(stderr).toBe('')
      outcomes = z.record(z.string(), z.string()).parse(JSON.parse(stdout))
    })()
  }, VM_TEST_MS)
  afterAll(() => rmSync(dir, { recursive: true }))

  it('the probe works: what is allowed is allowed', () => {
    expect(outcomes['control-open-own']).toBe('allowed')
    expect(outcomes['control-socket-unix']).toBe('allowed')
  })

  /** Refused by the filter or for want of privilege; a mere EINVAL would mean that the call was entered. */
  const byFilter = /^(operation not permitted|function not implemented|signal: bad system call.*)$/
  const refusedCalls = [
    ...[
      'socket-vsock-stream',
      'socket-vsock-dgram',
      'socket-vsock-cloexec',
      'socket-vsock-high',
      'socket-packet',
    ],
    ...['unshare-user', 'unshare-mount', 'unshare-pid', 'unshare-net', 'clone-user', 'clone3-user', 'setns'],
    ...['ptrace-init', 'ptrace-traceme', 'vm-readv', 'vm-writev', 'pidfd-getfd'],
    ...['io-uring', 'bpf', 'perf', 'userfaultfd', 'keyctl', 'add-key', 'request-key'],
    ...['mount-tmpfs', 'mount-remount', 'fsopen', 'open-tree', 'pivot-root', 'chroot', 'open-by-handle'],
    ...['init-module', 'finit-module', 'kexec', 'kexec-file', 'reboot', 'swapon'],
    ...['settimeofday', 'clock-settime', 'sethostname', 'setuid-root', 'mknod-vda', 'mknod-mem', 'kill-init'],
  ]
  for (const name of refusedCalls) it(`${name} is refused`, () => expect(outcomes[name]).toMatch(byFilter))

  const outOfReach =
    /^(permission denied|operation not permitted|no such file or directory|no such device.*|read-only file system|input\/output error|(open|write) .*(permission denied|operation not permitted))$/
  const unreachable = [
    ...['read-vport', 'write-vport', 'read-virtio-port', 'read-hvc', 'write-hvc', 'read-vsock-dev'],
    ...['read-vda', 'write-vda', 'read-mem', 'read-kmsg', 'read-kcore', 'read-hwrng'],
    ...['read-init-env', 'read-init-mem', 'read-init-maps', 'list-init-fds'],
    ...['write-sysrq', 'write-sysctl', 'write-cgroup', 'write-oom', 'write-image-json', 'read-shadow'],
  ]
  for (const name of unreachable)
    it(`${name} is out of reach`, () => expect(outcomes[name]).toMatch(outOfReach))

  it('the probe tried nothing that this list forgets', () => {
    const known = ['control-open-own', 'control-socket-unix', ...refusedCalls, ...unreachable]
    expect(Object.keys(outcomes).sort()).toEqual(known.sort())
  })

  const inVm = (title: string, command: string, check: (stdout: string) => void) =>
    it(
      title,
      bench.shared(async ({ vm }) => check((await vm.sh(command)).stdout)),
      VM_TEST_MS,
    )

  inVm('it runs as uid and gid 1000, without other groups', 'id', (stdout) => {
    expect(stdout).toMatch(/^uid=1000\(sandbox\) gid=1000\(sandbox\)/)
    expect(stdout).not.toMatch(/groups=.*\b0\b/)
  })
  inVm('it has no capability in any set', 'grep ^Cap /proc/self/status', (stdout) => {
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => line.replace(/\s+/, ' ')),
    ).toEqual(['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'].map((name) => `${name}: 0000000000000000`))
  })
  inVm('it can gain no privilege', 'grep NoNewPrivs /proc/self/status', (stdout) => {
    expect(stdout).toMatch(/NoNewPrivs:\s+1/)
  })
  inVm('it runs under a seccomp filter', 'grep "^Seccomp:" /proc/self/status', (stdout) => {
    expect(stdout).toMatch(/Seccomp:\s+2/)
  })
  inVm(
    'it has no network device but, at most, loopback',
    'ls /sys/class/net 2>/dev/null; cat /proc/net/dev',
    (stdout) => {
      expect(stdout).not.toMatch(/\b(eth|ens|enp|wlan|virtio_net|veth)\d*/)
    },
  )
  inVm('it inherits no descriptor but its three streams', 'ls /proc/self/fd', (stdout) => {
    // the fourth is the directory that ls itself reads
    expect(stdout.trim().split('\n')).toEqual(['0', '1', '2', '3'])
  })
  inVm('it has a cgroup of its own', 'cat /proc/self/cgroup', (stdout) => {
    expect(stdout).toMatch(/^0::\/.+/m)
  })
  inVm(
    'it sees the command line of no process of the dispatcher',
    'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" "\\n"; true',
    (stdout) => {
      expect(stdout).not.toMatch(/\/init|dispatcher|bridge|bsm/i)
    },
  )
  inVm(
    'setuid programs give it nothing',
    'find / -xdev -perm -4000 -type f 2>/dev/null | head; echo end',
    (stdout) => {
      expect(stdout).toBe('end\n')
    },
  )
  inVm(
    'nothing outside its own places is writable',
    'find / -xdev -type d -writable 2>/dev/null | grep -vE "^/(proc|tmp|dev/shm|home/sandbox|run/user)" ; echo end',
    (stdout) => {
      expect(stdout).toBe('end\n')
    },
  )
})
