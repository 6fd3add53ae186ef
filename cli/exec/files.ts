import { open, stat, writeFile } from 'node:fs/promises'
import { BsmError, LIMITS, type FileOut } from '../../core/protocol/index.ts'
import type { FileToSend } from '../../client/index.ts'
import { UsageError } from '../usage-error.ts'

/** A file on both sides. */
export type FilePair = { host: string; guest: string }

/** `HOST:GUEST`; cut at the last colon, for host paths may have some. */
export function parseFileIn(text: string): FilePair {
  const colon = text.lastIndexOf(':')
  return pair('--file-in', 'HOST:GUEST', text.slice(0, Math.max(colon, 0)), text.slice(colon + 1))
}

/** `GUEST:HOST`; cut at the first colon. */
export function parseFileOut(text: string): FilePair {
  const colon = text.indexOf(':')
  return pair('--file-out', 'GUEST:HOST', text.slice(colon + 1), text.slice(0, Math.max(colon, 0)))
}

function pair(option: string, form: string, host: string, guest: string): FilePair {
  if (host === '' || guest === '') throw new UsageError(`${option} takes ${form}`)
  return { host, guest }
}

const tooLarge = (what: string) =>
  new BsmError(
    'BAD_REQUEST',
    'agent',
    `${what} would exceed the ${LIMITS.filesBytes} bytes of files a dispatch may carry`,
    {
      nextStep: 'send fewer or smaller files',
    },
  )

/** Reads what goes into the guest; sizes are looked at before anything is read. */
export async function readFilesIn(pairs: readonly FilePair[]): Promise<FileToSend[]> {
  const files: FileToSend[] = []
  let left: number = LIMITS.filesBytes
  for (const { host, guest } of pairs) {
    const data = await readBounded(host, left)
    left -= data.length
    files.push({ path: guest, data, mode: (await stat(host)).mode & 0o777 })
  }
  return files
}

/** The whole of a regular file, at most `limit` bytes. */
export async function readBounded(path: string, limit: number): Promise<Buffer> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new BsmError('BAD_REQUEST', 'agent', `${path} cannot be read`, {
      nextStep: 'check the path and its permissions',
      cause,
    })
  })
  try {
    const facts = await file.stat()
    if (!facts.isFile())
      throw new BsmError('BAD_REQUEST', 'agent', `${path} is not a regular file`, { nextStep: 'name a file' })
    if (facts.size > limit) throw tooLarge(path)
    const data = await file.readFile()
    if (data.length > limit) throw tooLarge(path)
    return data
  } finally {
    await file.close()
  }
}

/** Writes what came back, and returns a sentence for each file that did not. */
export async function writeFilesOut(
  pairs: readonly FilePair[],
  files: readonly FileOut[],
): Promise<string[]> {
  const problems: string[] = []
  for (const { host, guest } of pairs) {
    const file = files.find((candidate) => candidate.path === guest)
    if (file === undefined) problems.push(`${guest} did not come back`)
    else if ('error' in file) problems.push(`${guest}: ${file.error}`)
    else
      // The guest says which bits it had; the host decides that none beyond rwx are kept.
      await writeFile(host, Buffer.from(file.data_b64, 'base64'), { mode: file.mode & 0o777 })
  }
  return problems
}
