import * as z from 'zod'
import {
  BsmError,
  HelperRequest,
  type HelperResponse,
  type Line,
  LIMITS,
  parseStrictJson,
  Uuid,
  whyNotParsed,
} from '../../../core/protocol/index.ts'

/** What a line turned out to be. */
export type Parsed =
  | { kind: 'request'; request: HelperRequest }
  /** `requestId` where one could be read: then it also gets an error response. */
  | { kind: 'refused'; error: BsmError; requestId: string | null }

const WithId = z.object({ request_id: Uuid })

/** Parses one line of a client (§2). */
export function parseRequest(line: Line): Parsed {
  if (line.kind === 'too_long') return refused(`A line is longer than ${LIMITS.ndjsonLineBytes} bytes.`, null)
  let value: unknown
  try {
    value = parseStrictJson(line.text)
  } catch (cause) {
    return refused(whyNotParsed(cause), null, cause)
  }
  const request = HelperRequest.safeParse(value)
  if (request.success) return { kind: 'request', request: request.data }
  const id = WithId.safeParse(value)
  return refused(`Not a request: ${firstIssue(request.error)}`, id.success ? id.data.request_id : null)
}

export const errorResponse = (requestId: string, error: BsmError): HelperResponse => ({
  kind: 'error_response',
  request_id: requestId,
  error: error.toWire(),
})

function refused(message: string, requestId: string | null, cause?: unknown): Parsed {
  const error = new BsmError('BAD_REQUEST', 'agent', message, {
    nextStep: 'Send one JSON object a line, as the wire protocol has it (§2).',
    ...(cause === undefined ? {} : { cause }),
  })
  return { kind: 'refused', error, requestId }
}

function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0]
  if (issue === undefined) return 'it has not the form of one.'
  const at = issue.path.join('.')
  return at === '' ? issue.message : `${at}: ${issue.message}`
}
