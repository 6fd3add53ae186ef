// A helper that breaks the contract in one way, with an honest helper behind it:
//
//   node saboteur.mjs SABOTAGE COMMAND ARG…
//
// The conformance kit and the red team's probes are held to finding each of them.
import { spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

const [sabotage = '', command = '', ...args] = process.argv.slice(2)

/** Snapshots whose name matches. @param {RegExp} pattern */
const snapshots = (pattern) => {
  const golden = join(process.env['BSM_STATE_DIR'] ?? '', 'golden')
  return readdirSync(golden).flatMap((name) => (pattern.test(name) ? [join(golden, name)] : []))
}
const KEPT = /^[0-9a-f]{64}$/
const SET_ASIDE = /\.(corrupt|incompatible)-/

// Takes back what the probe changed, so that the snapshot is good.
if (sabotage === 'pretending')
  for (const path of snapshots(KEPT)) {
    const fd = openSync(join(path, 'ram'), 'r+')
    const byte = Buffer.alloc(1)
    readSync(fd, byte, 0, 1, 0)
    writeSync(fd, Buffer.of((byte[0] ?? 0) ^ 0xff), 0, 1, 0)
    closeSync(fd)
  }
const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
/** @typedef {Record<string, unknown>} Message */
/** @type {Message[]} */
const held = []
/** @type {Message | null} */
let lastReset = null
let executing = false
/** @type {Message[]} */
const phases = []
let lastOutput = 0
/** @type {string | null} */
let written = null
/** @type {unknown} */
let fixedEpoch = null
const OWN_ID = '00000000-0000-4000-8000-000000000000'

/** @param {Message} message */
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`)

/**
 * What the honest helper said → what is passed on.
 * @type {Record<string, (message: Message) => Message[]>}
 */
const OUTGOING = {
  'wrong-hash': (m) => [m.kind === 'exec_response' ? { ...m, evidence_hash: `sha256:${'0'.repeat(64)}` } : m],
  'swapped-streams': (m) => [m.kind === 'exec_response' ? { ...m, stdout: m.stderr, stderr: m.stdout } : m],
  'lost-event': (m) => (m.event === 'exec_output' && m.stream === 'stderr' ? [] : [m]),
  'waiting-status': (m) => {
    if (m.kind === 'status_response' && executing) {
      held.push(m)
      return []
    }
    return m.kind === 'exec_response' ? [m, ...held.splice(0)] : [m]
  },
  'lenient-verify': (m) => [
    m.kind === 'verify_response' ? { ...m, fs_hash_match: true, divergence_action: 'none' } : m,
  ],
  'untold-cut': (m) => [
    m.kind === 'exec_response' ? { ...m, truncated: { stdout: false, stderr: false } } : m,
  ],
  'double-response': (m) => (m.kind === 'exec_response' ? [m, m] : [m]),
  'missing-field': (m) => {
    if (m.kind !== 'status_response') return [m]
    const { channels: _, ...rest } = m
    return [rest]
  },
  'always-zero': (m) => [m.kind === 'exec_response' ? { ...m, exit_code: 0 } : m],
  'silent-errors': (m) => (m.event === 'protocol_error' ? [] : [m]),
  'same-epoch': (m) => {
    if (m.kind !== 'reset_response') return [m]
    const wipe = /** @type {Message} */ (m.wipe)
    fixedEpoch ??= wipe.epoch
    return [{ ...m, wipe: { ...wipe, epoch: fixedEpoch } }]
  },
  // Resets once, before it says that it booted, and has a report to repeat.
  'idle-reset': (m) => {
    if (m.kind === 'boot_result')
      child.stdin.write(`${JSON.stringify({ kind: 'reset', request_id: OWN_ID })}\n`)
    if (lastReset !== null && m.request_id !== OWN_ID) return [m]
    if (m.kind === 'reset_response') return held.splice(0)
    if (m.event !== 'reset_phase') held.push(m)
    return []
  },
  'late-boot-result': (m) => [
    ...(m.kind === 'boot_result'
      ? [{ kind: 'event', event: 'log', source: 'helper', level: 'info', message: 'hi', ts: m.ts }]
      : []),
    m,
  ],
  'no-live-output': (m) => (m.event === 'exec_output' ? [] : [m]),
  // Whatever the sources say, the reset was fine.
  credulous: (m) => {
    if (m.kind !== 'reset_response') return [m]
    const { error: _, ...rest } = m
    return [{ ...rest, failed: [], verification_passed: true, divergence_action: 'none' }]
  },
  // Gives every reset up at once.
  hasty: (m) => [m.kind === 'reset_response' ? { ...m, failed: ['wipe'], verification_passed: false } : m],
  // Tries a reset that diverged once more.
  retrying: (m) => {
    if (m.event === 'reset_phase') phases.push(m)
    if (m.kind !== 'reset_response') return [m]
    const told = phases.splice(0)
    const { code } = /** @type {Message} */ (m.error ?? {})
    return code === 'RESET_VERIFICATION_DIVERGENCE' ? [...told, m] : [m]
  },
  // Gives a source that was silent no second chance; each try of the honest one ends with a discard.
  impatient: (m) => {
    const isSecond = phases.length > 0
    if (m.event === 'reset_phase') {
      if (/** @type {Message} */ (m.phase).name === 'discard') phases.push(m)
      return isSecond ? [] : [m]
    }
    if (m.kind !== 'reset_response') return [m]
    const tries = phases.splice(0).length
    return [tries > 1 ? { ...m, failed: ['open_fd_count'], verification_passed: false } : m]
  },
  // Compares no image with its manifest.
  unchecked: (m) => {
    if (m.kind !== 'boot_result') return [m]
    const { error: _, ...rest } = m
    return [{ ...rest, ok: true, vmm_api_state: 'running' }]
  },
  // Believes the baseline that somebody wrote beside the snapshot.
  'forged-baseline': (m) => [m.kind === 'reset_response' ? { ...m, open_fd_count_baseline: 999 } : m],
  // Takes any evidence for good, and any result for the tool's.
  believing: (m) => {
    if (m.kind !== 'exec_response' || m.error === undefined) return [m]
    const { error: _, ...rest } = m
    return [{ ...rest, exit_code: 0, evidence_hash: `sha256:${'ab'.repeat(32)}` }]
  },
  // Takes what comes on whatever connection for the result.
  'dead-letter': (m) => [
    m.kind === 'exec_response' && m.error === undefined ? { ...m, exit_code: 0, stdout: 'all is well\n' } : m,
  ],
  // Gives up what does not come at once.
  hurried: (m) => {
    if (m.event === 'exec_output') lastOutput = Date.now()
    if (m.kind !== 'exec_response' || Date.now() - lastOutput < 250) return [m]
    const error = { code: 'FRAME_MALFORMED', layer: 'helper', message: 'It came too slowly.' }
    return [{ ...m, exit_code: -1, evidence_hash: null, stdout: '', error }]
  },
  // Never looks at the snapshot that it starts from.
  trusting: (m) => {
    if (m.kind !== 'boot_result') return [m]
    const { cold_boot_reason: _, ...rest } = m
    return [{ ...rest, boot_path: 'fast_snapshot' }]
  },
  // Starts from the snapshot, and says that it did not.
  pretending: (m) => [
    m.kind === 'boot_result'
      ? { ...m, boot_path: 'cold_boot', cold_boot_reason: 'SNAPSHOT_CORRUPT: It is corrupt.' }
      : m,
  ],
  // Throws away what was set aside.
  tidy: (m) => {
    if (m.kind === 'boot_result') for (const path of snapshots(SET_ASIDE)) rmSync(path, { recursive: true })
    return [m]
  },
  // What a tool writes to its disk is on the disk that all VMs have. From here, for no QEMU can: its limit on the size
  // of files, which none may raise, lets it write to none.
  'shared-disk': (m) => {
    if (m.kind === 'exec_response' && written !== null) {
      const fd = openSync(args[args.indexOf('--rootfs') + 1] ?? '', 'r+')
      writeSync(fd, written, 0)
      closeSync(fd)
      written = null
    }
    return [m]
  },
  // Takes what a tool printed for a response or a result, if it looks like one.
  gullible: (m) => {
    if (m.kind !== 'exec_response') return [m]
    const { stdout } = /** @type {{ stdout: string }} */ (m)
    const isText = /** @type {Message | undefined} */ (m.encoding)?.stdout === 'utf-8'
    const printed = isText ? stdout : Buffer.from(stdout, 'base64').toString('latin1')
    const forged = /\{[^{}]*"(exec_response|ToolResult)"[^{}]*\}/.exec(printed)
    if (forged === null) return [m]
    const { type: _, ...said } = /** @type {Message} */ (JSON.parse(forged[0]))
    return [{ ...m, ...said, kind: m.kind, request_id: m.request_id }]
  },
  // Shows other bytes live than the evidence holds.
  'altered-live': (m) => [
    m.event === 'exec_output'
      ? { ...m, data_b64: Buffer.from(String(m.data_b64), 'base64').fill(0x3f, 0, 1).toString('base64') }
      : m,
  ],
  // Takes any answer of a guest for the one that was asked for.
  'forged-answer': (m) => {
    if (m.kind !== 'query_response') return [m]
    const { error: _, ...rest } = m
    return [{ ...rest, result: { open_fd_count: 31_337 } }]
  },
  // Boots whatever there is.
  welcoming: (m) =>
    m.kind === 'boot_result'
      ? [{ ok: true, kind: m.kind, vmm_api_state: 'running', boot_path: 'cold_boot', ts: m.ts }]
      : [m],
  'forgiving-cancel': (m) => [m.kind === 'cancel_response' ? { ...m, cancelled: true } : m],
}

/**
 * What the kit asked → what reaches the honest helper; false swallows it.
 * @type {Record<string, (message: Message) => boolean>}
 */
const INCOMING = {
  'shared-disk': (m) => {
    const { command } = /** @type {{ command?: string }} */ (m.params ?? {})
    written = /printf (\S+) \| dd of=\/dev\/disk/.exec(command ?? '')?.[1] ?? written
    return true
  },
  // A reset that does nothing and repeats the last report.
  'idle-reset': (m) => {
    if (m.kind !== 'reset' || lastReset === null) return true
    say({ ...lastReset, request_id: m.request_id })
    return false
  },
}

const split = (/** @type {(line: string) => void} */ each) => {
  let rest = ''
  return (/** @type {Buffer} */ chunk) => {
    const lines = (rest + chunk.toString('utf8')).split('\n')
    rest = lines.pop() ?? ''
    lines.forEach(each)
  }
}

child.stdout.on(
  'data',
  split((line) => {
    const message = /** @type {Message} */ (JSON.parse(line))
    if (message.kind === 'reset_response') lastReset = message
    for (const out of OUTGOING[sabotage]?.(message) ?? [message]) say(out)
    if (message.kind === 'exec_response') executing = false
    if (sabotage === 'chatty' && message.kind === 'boot_result') process.stdout.write('booted!\n')
  }),
)
process.stdin.on(
  'data',
  split((line) => {
    let message = null
    try {
      message = /** @type {Message} */ (JSON.parse(line))
    } catch {
      // garbage goes on as it is
    }
    if (message?.kind === 'exec') executing = true
    if (message === null || INCOMING[sabotage]?.(message) !== false) child.stdin.write(`${line}\n`)
  }),
)
process.stdin.on('end', () => child.stdin.end())
child.stdin.on('error', () => undefined)
if (sabotage === 'orphan') spawn('sleep', ['600'], { detached: true, stdio: 'ignore' }).unref()
child.on('exit', (code) => {
  // Keeps no snapshot.
  if (sabotage === 'forgetful') for (const path of snapshots(KEPT)) rmSync(path, { recursive: true })
  if (sabotage === 'litter') writeFileSync(join(process.env['TMPDIR'] ?? '', 'left-behind'), '')
  process.exit(sabotage === 'wrong-exit' ? 3 : (code ?? 1))
})
