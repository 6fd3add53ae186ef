import { randomUUID } from 'node:crypto'
import { LIMITS, PORTS, type ErrorCode, type WipeProof } from '../../../core/protocol/index.ts'
import { errorOf, type BootOptions, type Helper } from '../../support/helper.ts'
import type { FramePart, FrameRule } from '../../support/lying-qemu.ts'
import { must } from '../../gates/broken.ts'
import { probe, type Probe } from '../probe.ts'
import type { Stage } from '../stage.ts'
import { announced, CREDULOUS, HONEST, instead, message, servesAfterReset, withStandby } from './hostile.ts'

/** What a hostile dispatcher answers to questions and to the control port proves nothing that it should not. */

/** The saboteur's `forged-answer` says the same. */
const FORGED = 31_337

const answer = (...send: FramePart[]): FrameRule => instead(PORTS.query, { type: 'GuestResponse' }, ...send)

const unasked = (): FramePart =>
  message({
    type: 'GuestResponse',
    query_id: randomUUID(),
    query_kind: 'OpenFdCount',
    result: { open_fd_count: FORGED },
    ts: new Date().toISOString(),
  })

/** Asks for a count while the guest answers otherwise. */
async function asked({ qemu }: Stage, helper: Helper, ...rules: FrameRule[]) {
  qemu.attack(rules)
  try {
    const response = await helper.query('OpenFdCount')
    if (qemu.attacked === 0) throw new Error('no frame was changed')
    return response
  } finally {
    qemu.relent('frames')
  }
}

const query = (id: string, promise: string, code: ErrorCode, says: RegExp, send: () => FramePart[]): Probe =>
  probe({
    id: `frames.${id}`,
    group: 'Output as attack',
    attacker: 'guest',
    promise,
    needs: 'own-vm',
    setup: withStandby,
    run: async (stage, helper) => {
      const { result, error } = await asked(stage, helper, answer(...send()))
      must(result === undefined && error?.code === code, `${JSON.stringify(result)} ${JSON.stringify(error)}`)
      must(says.test(error?.message ?? ''), `it was refused for another reason: ${error?.message}`)
      await servesAfterReset(helper)
    },
    defect: { when: 'any answer is taken', helper: 'forged-answer' },
  })

const queries: readonly Probe[] = [
  query(
    'query-foreign',
    'An answer to another question is none.',
    'GUEST_UNREACHABLE',
    /did not answer/,
    () => [{ set: { query_id: randomUUID(), result: { open_fd_count: FORGED } } }],
  ),
  query(
    'query-other-kind',
    'An answer of another kind is none.',
    'FRAME_MALFORMED',
    /not the form of one/,
    () => [{ set: { query_kind: 'MemUsage', result: { bytes_used: 1, bytes_total: 2 } } }],
  ),
  query('query-no-form', 'An answer without the form of one is none.', 'FRAME_MALFORMED', /form/, () => [
    { set: { result: { open_fd_count: -1 } } },
  ]),
  query(
    'query-oversize',
    'An answer of more than 64 KiB is refused before it came.',
    'FRAME_TOO_LARGE',
    /A frame of \d+ bytes came/,
    () => [announced(LIMITS.controlFrameBytes + 1)],
  ),
  probe({
    id: 'frames.query-unasked',
    group: 'Output as attack',
    attacker: 'guest',
    promise: 'Answers that nobody asked for count for nothing.',
    needs: 'own-vm',
    setup: withStandby,
    run: async (stage, helper) => {
      const flood = Array.from({ length: 500 }, unasked)
      const { result, error } = await asked(stage, helper, answer(...flood, HONEST))
      must(result !== undefined && error === undefined, JSON.stringify(error))
      must('open_fd_count' in result && result.open_fd_count !== FORGED, JSON.stringify(result))
      await servesAfterReset(helper)
    },
    defect: { when: 'any answer is taken', helper: 'forged-answer' },
  }),
]

/** Boots while the guest says something else, from the golden snapshot or from `cold`. */
async function boot({ context, qemu }: Stage, from: 'golden' | 'cold', rule: FrameRule): Promise<Helper> {
  const scratch = from === 'golden' ? await context.golden() : context.scratch()
  qemu.attack([rule])
  const options: BootOptions = { env: qemu.environment }
  const helper = context.boot(scratch, options)
  await helper.bootResult()
  if (qemu.attacked === 0) throw new Error('no frame was changed')
  return helper
}

const greeting = (id: string, promise: string, set: FramePart['set'] & object, says: RegExp): Probe =>
  probe({
    id: `frames.hello-${id}`,
    group: 'Output as attack',
    attacker: 'guest',
    promise,
    needs: 'own-vm',
    run: async (stage) => {
      const helper = await boot(stage, 'cold', instead(PORTS.control, { type: 'Hello' }, { set }))
      const result = await helper.bootResult()
      must(!result.ok && result.error?.code === 'IMAGE_MISMATCH', JSON.stringify(result))
      must(
        says.test(result.error?.message ?? ''),
        `it was refused for another reason: ${result.error?.message}`,
      )
    },
    defect: { when: 'any guest is taken', helper: 'welcoming' },
  })

const greetings: readonly Probe[] = [
  greeting(
    'digest',
    'A guest of another image is not served.',
    { image_digest: `sha256:${'ab'.repeat(32)}` },
    /own digest is not/,
  ),
  greeting(
    'tools',
    'A guest with other tools than its image is not served.',
    { tools: [] },
    /own list of tools is not/,
  ),
  greeting('thawed', 'A guest that was not born frozen is not saved.', { frozen: false }, /not born frozen/),
  greeting(
    'no-nonce',
    'A guest without a nonce is not saved.',
    { ram_nonce: '' },
    /not born frozen with a nonce/,
  ),
]

const acknowledgement = (set: FramePart['set'] & object): FrameRule =>
  instead(PORTS.control, { type: 'ResumeAck' }, { set })

async function refusesEverything(helper: Helper): Promise<void> {
  const { error } = await helper.exec('echo', { text: 'x' })
  must(error?.code === 'DEGRADED', `a dispatch after the divergence: ${JSON.stringify(error)}`)
}

/** At the swap the guest proves the wipe; what it says there must be what the snapshot says. `shows`: how it differs. */
const wipe = (
  id: string,
  promise: string,
  set: FramePart['set'] & object,
  shows: Partial<WipeProof> = {},
): Probe =>
  probe({
    id: `frames.wipe-${id}`,
    group: 'Output as attack',
    attacker: 'guest',
    promise,
    needs: 'own-vm',
    setup: withStandby,
    run: async ({ qemu }, helper) => {
      qemu.attack([acknowledgement(set)])
      const { verification_passed, divergence_action, failed, error, wipe } = await helper.reset()
      if (qemu.attacked === 0) throw new Error('no frame was changed')
      must(!verification_passed, 'the reset passed')
      must(
        error?.code === 'RESET_VERIFICATION_DIVERGENCE' &&
          divergence_action === 'halt' &&
          failed.join() === 'wipe',
        `${failed.join(', ')} ${JSON.stringify(error)}`,
      )
      const expected = { nonce_match: true, dispatches: 0, ...shows }
      const same = JSON.stringify({ ...wipe, ...expected }) === JSON.stringify(wipe)
      must(same, `it was found otherwise: ${JSON.stringify(wipe)}`)
      await refusesEverything(helper)
    },
    defect: CREDULOUS,
  })

const wipes: readonly Probe[] = [
  wipe(
    'nonce',
    'A VM that shows another nonce than the snapshot is a divergence.',
    { ram_nonce: 'ab'.repeat(32) },
    { nonce_match: false },
  ),
  wipe(
    'no-nonce',
    'A VM that has lost its nonce is a divergence.',
    { ram_nonce: '' },
    { nonce_match: false },
  ),
  wipe('epoch', 'A VM that answers for another epoch is a divergence.', { epoch: 1 }),
  wipe(
    'dispatches',
    'A VM that has run a dispatch before is a divergence.',
    { dispatches: 1 },
    { dispatches: 1 },
  ),
  wipe(
    'overlay',
    'A VM with more in its overlay than the baseline is a divergence.',
    { overlay_bytes: 1_000_000_000 },
    { overlay_bytes: 1_000_000_000 },
  ),
]

const proofs: readonly Probe[] = [
  probe({
    id: 'frames.wipe-not-reseeded',
    group: 'Output as attack',
    attacker: 'guest',
    promise: 'A VM that did not take new randomness is not served.',
    needs: 'own-vm',
    setup: withStandby,
    run: async ({ qemu }, helper) => {
      qemu.attack([acknowledgement({ reseeded: false })])
      const response = await helper.ask({ kind: 'reset' }, 60_000)
      if (qemu.attacked === 0) throw new Error('no frame was changed')
      const passed = response.kind === 'reset_response' && response.verification_passed
      must(!passed && errorOf(response) !== undefined, 'the reset passed')
      return errorOf(response)?.code
    },
    defect: CREDULOUS,
  }),
  probe({
    id: 'frames.boot-nonce',
    group: 'Output as attack',
    attacker: 'guest',
    promise: 'A restored guest that shows another nonce than its snapshot is not served.',
    needs: 'own-vm',
    run: async (stage) => {
      const helper = await boot(stage, 'golden', acknowledgement({ ram_nonce: 'ab'.repeat(32) }))
      const result = await helper.bootResult()
      must(!result.ok && result.error !== undefined, JSON.stringify(result))
      const { message } = result.error
      must(/not the one that was saved/.test(message), `it was refused for another reason: ${message}`)
    },
    defect: { when: 'any guest is taken', helper: 'welcoming' },
  }),
  probe({
    id: 'frames.baseline-overlay',
    group: 'Output as attack',
    attacker: 'guest',
    promise: 'A lie about the overlay while the baseline is measured is a divergence at the reset.',
    needs: 'own-vm',
    budgetMs: 90_000,
    run: async (stage) => {
      const lie = instead(PORTS.control, { type: 'HeartbeatAck' }, { set: { overlay_bytes: 1 } })
      stage.qemu.attack([lie])
      const helper = stage.context.boot(stage.context.scratch(), { env: stage.qemu.environment })
      await helper.ready()
      stage.watch(helper)
      await helper.standbyReady()
      if (stage.qemu.attacked === 0) throw new Error('no frame was changed')
      const { verification_passed, failed, error } = await helper.reset()
      must(
        !verification_passed && error?.code === 'RESET_VERIFICATION_DIVERGENCE' && failed.join() === 'wipe',
        `${verification_passed} ${failed.join(', ')} ${JSON.stringify(error)}`,
      )
      await refusesEverything(helper)
    },
    defect: CREDULOUS,
  }),
]

export const ANSWERS: readonly Probe[] = [...queries, ...greetings, ...wipes, ...proofs]
