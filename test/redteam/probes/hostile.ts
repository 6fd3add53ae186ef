import { randomUUID } from 'node:crypto'
import { PORTS, type ErrorCode, type Port } from '../../../core/protocol/index.ts'
import type { ExecExtras, Helper, ResponseTo } from '../../support/helper.ts'
import type { FramePart, FrameRule } from '../../support/lying-qemu.ts'
import { must } from '../../gates/broken.ts'
import { probe, type Defect, type Probe } from '../probe.ts'
import type { Stage } from '../stage.ts'

/** A guest whose dispatcher is replaced by a hostile one: what every probe of frames needs. */

/** Prints on both streams, so that its evidence has at least four chunks, and does not succeed. */
export const COMMAND = 'echo one; echo two >&2; echo three; exit 3'
export const EXIT_CODE = 3

export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

/** Bytes with their length before them (wire protocol §3), as they are. */
export const framed = (body: string | Uint8Array): FramePart => {
  const bytes = Buffer.from(body)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return { raw: base64(Buffer.concat([length, bytes])) }
}

export const message = (value: object): FramePart => framed(JSON.stringify(value))

/** A length, and fewer bytes behind it. */
export const announced = (length: number): FramePart => {
  const bytes = Buffer.alloc(4 + 16, 'x')
  bytes.writeUInt32BE(length)
  return { raw: base64(bytes) }
}

/** The frame as it is. */
export const HONEST: FramePart = {}

export const instead = (port: Port, where: FrameRule['where'], ...send: FramePart[]): FrameRule => ({
  port,
  where,
  send,
})

/** The answer to how many descriptors are open is another, or none. */
export const counts = (
  counted: readonly number[],
  rest: Pick<FrameRule, 'answered' | 'vms'> = {},
): FrameRule => ({
  ...instead(
    PORTS.query,
    { type: 'GuestResponse', query_kind: 'OpenFdCount' },
    ...counted.map((open_fd_count) => ({ set: { result: { open_fd_count } } })),
  ),
  ...rest,
})

export const BELIEVING: Defect = { when: 'whatever a guest says is taken for good', helper: 'believing' }
export const CREDULOUS: Defect = { when: 'a reset passes whatever is found', helper: 'credulous' }

/** A helper of its own whose guests say what {@link Stage.qemu} is told. */
export const attackable = (stage: Stage): Promise<Helper> => stage.own({ env: stage.qemu.environment })

/** The same with a standby, which was made before anybody lied. */
export async function withStandby(stage: Stage): Promise<Helper> {
  const helper = await attackable(stage)
  await helper.standbyReady()
  return helper
}

/** Whatever it did to the VM, the next one is whole. */
export async function servesAfterReset(helper: Helper): Promise<void> {
  const { verification_passed, failed, error } = await helper.reset()
  must(
    verification_passed && error === undefined,
    `the reset after it failed: ${failed.join(', ')} ${JSON.stringify(error)}`,
  )
  const { exit_code, stdout, stderr, error: ended } = await helper.sh(COMMAND)
  must(
    exit_code === EXIT_CODE && stdout === 'one\nthree\n' && stderr === 'two\n' && ended === undefined,
    `after the reset a dispatch gave ${exit_code} ${JSON.stringify([stdout, stderr, ended])}`,
  )
}

export type Dispatched = { command_id: string; epoch: number }
type Response = ResponseTo<'exec'>

export const chunk = (where: FrameRule['where'], ...send: FramePart[]): FrameRule =>
  instead(PORTS.evidence, { type: 'EvidenceChunk', ...where }, ...send)
export const result = (...send: FramePart[]): FrameRule =>
  instead(PORTS.dispatch, { type: 'ToolResult' }, ...send)

/** Runs the command while the guest sends other frames; `meanwhile` looks on. */
export async function attacked(
  { qemu }: Stage,
  helper: Helper,
  rules: (dispatched: Dispatched) => FrameRule[],
  extras: ExecExtras = {},
  meanwhile: (over: Promise<Response>) => Promise<void> = async () => undefined,
): Promise<Response> {
  const { epoch } = await helper.status()
  const command_id = randomUUID()
  qemu.attack(rules({ command_id, epoch: epoch ?? 0 }))
  try {
    const over = helper.sh(COMMAND, { ...extras, command_id })
    await meanwhile(over)
    const response = await over
    if (qemu.attacked === 0) throw new Error('no frame was changed')
    return response
  } finally {
    qemu.relent('frames')
  }
}

/** It failed with one of these codes, and gave no result. */
export function refused({ error, exit_code, evidence_hash }: Response, codes: readonly ErrorCode[]): void {
  must(
    error !== undefined && codes.includes(error.code),
    `exit code ${exit_code} and ${error === undefined ? 'no error' : `${error.code}: ${error.message}`}`,
  )
  must(exit_code !== 0 && evidence_hash === null, `exit code ${exit_code}, evidence ${evidence_hash}`)
}

/** It gave the result that the tool had. */
export function taken({ error, exit_code, stdout }: Response): void {
  must(
    exit_code === EXIT_CODE && error === undefined && stdout === 'one\nthree\n',
    `${exit_code} ${JSON.stringify([stdout, error])}`,
  )
}

type Attack = Pick<Probe, 'promise' | 'slice' | 'budgetMs' | 'only'> & {
  rules: (dispatched: Dispatched) => FrameRule[]
  codes: readonly ErrorCode[]
  /** In the words of both helpers: codes are shared by many attacks. */
  says: RegExp
  deadlineMs?: number
}

/** A dispatch whose frames are attacked fails with the code that says how; the next VM is whole. */
export const attack = (id: string, { rules, codes, says, deadlineMs = 30_000, ...rest }: Attack): Probe =>
  probe({
    id: `frames.${id}`,
    group: 'Output as attack',
    attacker: 'guest',
    needs: 'own-vm',
    ...rest,
    setup: attackable,
    run: async (stage, helper) => {
      const response = await attacked(stage, helper, rules, { deadline_ms: deadlineMs })
      refused(response, codes)
      const said = response.error?.message ?? ''
      must(says.test(said), `it was refused for another reason: ${said}`)
      await servesAfterReset(helper)
      return said
    },
    defect: BELIEVING,
  })
