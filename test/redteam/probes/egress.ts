import { randomUUID } from 'node:crypto'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import type { Sandbox } from '../../../client/index.ts'
import { toolCall } from '../../../client/exec.ts'
import { canonicalJson, sha256, type AgentExecResponse, type ToolCall } from '../../../core/protocol/index.ts'
import { helperOf, standbyReady } from '../../support/app.ts'
import { buildGo } from '../../support/go-binary.ts'
import { helperBinary } from '../../support/helper-binary.ts'
import { must } from '../../gates/broken.ts'
import type { AppVisit } from '../app-stage.ts'
import { probe, type Defect, type Probe } from '../probe.ts'
import { attempts, INTRUDER, INTRUSION_MS, intruder, REFUSED } from './confinement.ts'
import { evidenced } from './output.ts'

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
    // A default route over the loopback would refuse all, in IPv6; one that makes all of it local does not.
    'busybox ip -6 route add local default dev lo',
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

/** Bytes that each interface of a network namespace received and sent, as its `/proc/net/dev` says it. */
const counted = (said: string): Map<string, number> =>
  new Map(
    said
      .trimEnd()
      .split('\n')
      .slice(2)
      .map((line) => {
        const [name = '', rest = ''] = line.split(':')
        const counts = rest.trim().split(/\s+/).map(Number)
        return [name.trim(), (counts[0] ?? 0) + (counts[8] ?? 0)]
      }),
  )

/** What went over a network since `before`. */
const traffic = (before: string, now: string): string[] =>
  [...counted(now)].flatMap(([name, bytes]) => {
    const more = bytes - (counted(before).get(name) ?? 0)
    return more > 0 ? [`${more} bytes over ${name}`] : []
  })

/** Has the program try everything as one dispatch, and gives its call. */
async function intrude(sandbox: Sandbox): Promise<{ call: ToolCall; answer: AgentExecResponse }> {
  const commandId = randomUUID()
  const params = { command: INTRUDER }
  const options = {
    commandId,
    deadlineMs: INTRUSION_MS,
    filesIn: [{ path: INTRUDER, mode: 0o755, data: intruder() }],
  }
  const answer = await sandbox.exec('sh', params, options)
  must(answer.stdout.includes('tcp-internet'), `the attempts were not made: ${answer.stderr}`)
  return { call: toolCall(commandId, 'sh', params, options), answer }
}

/** The audit log has this very call, and the evidence of it every attempt to get out. */
async function isOnRecord(app: AppVisit, call: ToolCall, answer: AgentExecResponse): Promise<void> {
  const begun = app.audited(call.command_id).filter(({ kind }) => kind === 'dispatch_started')
  const digests = begun.map((entry) => entry['call_digest'])
  const ours = sha256(canonicalJson(call))
  must(digests.join() === ours, `the audit log has ${digests.join() || 'no call'}, the call is ${ours}`)
  must((await app.person.verifyAudit()).ok, 'the audit log does not verify')
  const { ok, message } = await app.person.verifyEvidence(call.command_id)
  must(ok, `the evidence does not verify: ${message}`)
  const printed = evidenced(answer).of('stdout').toString()
  const names = [...routes, ...families].map(({ id }) => id.replace('egress.', ''))
  const untold = names.filter((name) => !printed.includes(`"${name}":`))
  must(untold.length === 0, `the evidence does not have ${untold.join(', ')}`)
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
    'Whatever a tool tries, not one byte leaves helper and VM over a network, and the attempts are on record.',
  needs: 'own-app',
  slice: true,
  budgetMs: INTRUSION_MS + 60_000,
  setup: async (stage) => {
    const scratch = stage.context.scratch()
    const [netns, helper, before] = [scratch.path('netns'), scratch.path('helper'), scratch.path('before')]
    buildGo('test/redteam/netns', netns)
    const { command, args } = await helperBinary(stage.which)
    const words = [netns, before, command, ...args].map((word) => `'${word}'`).join(' ')
    writeFileSync(helper, `#!/bin/sh\nexec ${words} "$@"\n`)
    chmodSync(helper, 0o755)
    return { helper, before }
  },
  run: async (stage, { helper, before }) => {
    const app = await stage.ownApp({ BSM_HELPER: helper, ...stage.qemu.environment })
    await standbyReady(app.person)
    const { call, answer } = await intrude(app.person)
    const now = readFileSync(`/proc/${helperOf(app.scratch).pid}/net/dev`, 'utf8')
    const sent = traffic(readFileSync(before, 'utf8'), now)
    must(sent.length === 0, `it sent ${sent.join(', ')}`)
    await isOnRecord(app, call, answer)
    return '0 bytes, where what goes to the internet is counted'
  },
  defect: { when: 'the VM has a network', qemu: 'leak' },
})

const onRecord = probe({
  id: 'egress.on-record',
  group: 'Egress',
  attacker: 'tool',
  promise: 'The audit log has the very call of a tool that tries to get out, and its evidence every attempt.',
  needs: 'app',
  fullRunOnly: true,
  budgetMs: INTRUSION_MS + 60_000,
  run: async (stage) => {
    const app = await stage.app()
    const { sandbox } = await app.agent()
    const { call, answer } = await intrude(sandbox)
    await isOnRecord(app, call, answer)
  },
  defect: { when: 'another call is run than the one that was sent', socket: 'meddling' },
})

export const EGRESS: readonly Probe[] = [...routes, ...families, device, captured, onRecord]
