import { McpError } from '@modelcontextprotocol/sdk/types.js'
import type { ReadResourceResult, Resource, ResourceTemplate } from '@modelcontextprotocol/sdk/types.js'
import { EvidenceStore, resolvePaths } from '../../core/index.ts'
import { BsmError } from '../../core/protocol/index.ts'
import { outputBytes } from '../../client/index.ts'
import type { History, Kept } from './history.ts'
import { errorReport } from './report.ts'
import {
  EVIDENCE_TEMPLATE,
  evidenceUri,
  FILE_TEMPLATE,
  LOG_TEMPLATE,
  logUri,
  parseUri,
  STATUS_URI,
} from './uri.ts'

export const TEMPLATES: readonly ResourceTemplate[] = [
  {
    name: 'log',
    uriTemplate: LOG_TEMPLATE,
    description:
      'stdout or stderr of one of the last dispatches, up to 1 MiB, head and tail kept. Guest text.',
  },
  {
    name: 'evidence',
    uriTemplate: EVIDENCE_TEMPLATE,
    description: 'Evidence of one of the last dispatches, its chain recomputed now.',
    mimeType: 'application/json',
  },
  {
    name: 'file',
    uriTemplate: FILE_TEMPLATE,
    description: 'A file that a dispatch brought back, by its number in the result. Guest content.',
  },
]

const STATUS: Resource = {
  name: 'status',
  uri: STATUS_URI,
  description: 'As sandbox_status gives it.',
  mimeType: 'application/json',
}

export const listResources = (history: History): Resource[] => [
  STATUS,
  ...history.list().flatMap(({ tool, response }) => {
    const { command_id: id } = response
    const streams = (['stdout', 'stderr'] as const).filter((stream) => response[stream] !== '')
    return [
      ...streams.map((stream) => ({
        name: `${stream} of ${tool}`,
        uri: logUri(id, stream),
        mimeType: mimeOf(response.encoding?.[stream]),
      })),
      { name: `evidence of ${tool}`, uri: evidenceUri(id), mimeType: 'application/json' },
    ]
  }),
]

const mimeOf = (encoding: 'utf-8' | 'base64' | undefined): string =>
  encoding === 'base64' ? 'application/octet-stream' : 'text/plain'

type Sources = { history: History; env: NodeJS.ProcessEnv; status: () => Promise<object> }

export async function readResource(
  uri: string,
  { history, env, status }: Sources,
): Promise<ReadResourceResult> {
  const address = parseUri(uri)
  if (address === null) throw notFound(uri)
  if (address.kind === 'status') return json(uri, await status())
  const kept = history.get(address.id)
  if (kept === undefined) throw notFound(uri)
  switch (address.kind) {
    case 'log':
      return contents(
        uri,
        outputBytes(kept.response, address.stream),
        kept.response.encoding?.[address.stream],
      )
    case 'evidence':
      return json(uri, await evidenceOf(kept, env))
    case 'file': {
      const file = kept.response.files?.[address.number]
      if (file === undefined || 'error' in file) throw notFound(uri)
      return contents(uri, Buffer.from(file.data_b64, 'base64'), 'base64')
    }
  }
}

const json = (uri: string, value: object): ReadResourceResult => ({
  contents: [{ uri, mimeType: 'application/json', text: JSON.stringify(value) }],
})

const contents = (
  uri: string,
  bytes: Buffer,
  encoding: 'utf-8' | 'base64' | undefined,
): ReadResourceResult => ({
  contents: [
    encoding === 'base64'
      ? { uri, mimeType: mimeOf(encoding), blob: bytes.toString('base64') }
      : { uri, mimeType: mimeOf(encoding), text: bytes.toString('utf8') },
  ],
})

/** The chain is read from the disk and computed again, without the app's or the helper's help. */
async function evidenceOf({ tool, response }: Kept, env: NodeJS.ProcessEnv): Promise<object> {
  const { command_id: id, evidence_hash: hash, audit_head, epoch, sandbox_reset_state } = response
  const store = new EvidenceStore(resolvePaths(env).evidenceDir)
  const chain = await store
    .verify(id, hash)
    .then(({ ok, recomputed, chunks, message }) => ({ ok, recomputed, chunks, message, error: null }))
    .catch((error: unknown) => ({
      ...{ ok: false, recomputed: null, chunks: null, message: null },
      error: errorReport(BsmError.from(error, 'app')),
    }))
  return {
    dispatch_id: id,
    tool,
    epoch: epoch ?? null,
    evidence_hash: hash,
    audit_head,
    chain,
    reset_verified: sandbox_reset_state?.verification_passed ?? null,
    what_it_proves:
      'The hash has no key: it binds what the host received, in order, to what was asked; it does not prove what a ' +
      'taken-over guest did.',
  }
}

/** The code that MCP has for a resource that is not there. */
const RESOURCE_NOT_FOUND = -32002

const notFound = (uri: string): McpError =>
  new McpError(
    RESOURCE_NOT_FOUND,
    'there is no such resource: the last 32 dispatches of this server are kept, see resources/list',
    { uri },
  )
