import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { helperOf, standbyReady } from '../../support/app.ts'
import { buildGo } from '../../support/go-binary.ts'
import { helperBinary } from '../../support/helper-binary.ts'
import { must } from '../../gates/broken.ts'
import { probe, type Defect, type Probe } from '../probe.ts'
import { attempts, INTRUDER, INTRUSION_MS, intruder, REFUSED } from './confinement.ts'

/** Every route out of the VM that a tool could try. There is no network device; the only way out is the dispatch itself. */

/** Refused, or there is no way there. A refused or silent connection would mean that something went out. */
const NO_WAY_OUT =
  /^(network is unreachable|cannot assign requested address|operation not permitted|permission denied|function not implemented|address family not supported by protocol|protocol not supported|socket type not supported|signal: bad system call.*)$/

const WITH_NETWORK: Defect = {
  when: 'the guest has a network that leads everywhere',
  asRoot: [
    'for address in 10.0.2.2 169.254.169.254; do busybox ip address add $address/32 dev lo; done',
    'busybox ip link set lo multicast on up',
    'echo 0 2147483647 > /proc/sys/net/ipv4/ping_group_range',
    'busybox ip route add default dev lo',
    'busybox ip -6 route add default dev lo',
  ].join('\n'),
}

const routes = attempts('Egress', NO_WAY_OUT, (what) => `A tool cannot ${what}.`, WITH_NETWORK, {
  'tcp-gateway': 'connect to the gateway of a usual virtual network',
  'tcp-metadata': 'connect to the metadata service of a cloud',
  'tcp-internet': 'connect to a server on the internet',
  'udp-dns': 'ask a name server on the internet',
  'udp-dns-gateway': 'ask the name server of a usual virtual network',
  'udp-broadcast': 'broadcast',
  'udp-multicast': 'announce itself by multicast',
  'icmp-echo': 'send an echo request',
  'ipv6-tcp': 'connect to a server over IPv6',
  'ipv6-multicast': 'announce itself by multicast over IPv6',
})

const families = attempts(
  'Egress',
  REFUSED,
  (what) => `A tool cannot open ${what}.`,
  { when: 'a tool is root and unfiltered', asRoot: '' },
  {
    'socket-raw': 'a raw IP socket',
    'socket-packet': 'a raw packet socket',
    'socket-xdp': 'an XDP socket',
    'socket-pppox': 'a PPP socket',
    'socket-tipc': 'a TIPC socket',
    'socket-vsock-stream': 'a vsock stream, to the control port or any other',
    'socket-vsock-dgram': 'a vsock datagram socket',
    'socket-vsock-cloexec': 'a vsock socket under other flags',
    'socket-vsock-high': 'a vsock socket by setting the upper half of the register',
  },
)

/** Bytes that each interface of a process's network namespace received and sent. */
function traffic(pid: number): string[] {
  return readFileSync(`/proc/${pid}/net/dev`, 'utf8')
    .split('\n')
    .slice(2)
    .flatMap((line) => {
      const [name = '', rest = ''] = line.split(':')
      const counts = rest.trim().split(/\s+/).map(Number)
      const bytes = (counts[0] ?? 0) + (counts[8] ?? 0)
      return bytes > 0 ? [`${bytes} bytes over ${name.trim()}`] : []
    })
}

const device = probe({
  id: 'egress.device',
  group: 'Egress',
  attacker: 'tool',
  promise: 'A tool sees no network device but the loopback.',
  needs: 'vm',
  run: async (stage) => {
    const { stdout } = await stage.tool('cat /proc/net/dev')
    const names = stdout
      .split('\n')
      .slice(2)
      .flatMap((line) => /^\s*(\S+):/.exec(line)?.[1] ?? [])
    must(names.join() === 'lo', `it sees ${names.join(', ')}`)
  },
  defect: {
    when: 'there is another device',
    asRoot: 'busybox ip link set lo down; busybox ip link set lo name eth0',
  },
})

const captured = probe({
  id: 'egress.captured',
  group: 'Egress',
  attacker: 'tool',
  promise:
    'Whatever a tool tries, not one byte leaves helper and VM over a network, and the audit log has the dispatch.',
  needs: 'own-app',
  slice: true,
  budgetMs: INTRUSION_MS + 60_000,
  setup: async (stage) => {
    const scratch = stage.context.scratch()
    const [netns, helper] = [scratch.path('netns'), scratch.path('helper')]
    buildGo('test/redteam/netns', netns)
    const { command, args } = await helperBinary(stage.which)
    const words = [netns, command, ...args].map((word) => `'${word}'`).join(' ')
    writeFileSync(helper, `#!/bin/sh\nexec ${words} "$@"\n`)
    chmodSync(helper, 0o755)
    return helper
  },
  run: async (stage, helper) => {
    const { person, scratch } = await stage.ownApp({ BSM_HELPER: helper, ...stage.qemu.environment })
    await standbyReady(person)
    const { command_id, stdout, stderr } = await person.exec(
      'sh',
      { command: INTRUDER },
      { filesIn: [{ path: INTRUDER, mode: 0o755, data: intruder() }], deadlineMs: INTRUSION_MS },
    )
    must(stdout.includes('tcp-internet'), `the attempts were not made: ${stderr}`)
    const sent = traffic(helperOf(scratch).pid)
    must(sent.length === 0, `it sent ${sent.join(', ')}`)
    const audit = readFileSync(join(scratch.stateDir, 'audit.jsonl'), 'utf8')
    must(audit.includes(command_id), 'the audit log does not have the dispatch')
    must((await person.verifyAudit()).ok, 'the audit log does not verify')
    return '0 bytes'
  },
  defect: { when: 'the VM has a network', qemu: 'leak' },
})

export const EGRESS: readonly Probe[] = [...routes, ...families, device, captured]
