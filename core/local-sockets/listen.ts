import { chmodSync, lstatSync } from 'node:fs'
import { createConnection, type Server } from 'node:net'
import { errnoOf, fileError, removeFile } from '../files.ts'
import { BsmError, LIMITS } from '../protocol/index.ts'

const PROBE_MS = 1_000

/** Listens on a Unix socket, mode 0600. A stale one is replaced, a live one refused (BUSY). Throws a sentence. */
export async function listenOn(server: Server, path: string): Promise<void> {
  refuseLongPath(path)
  try {
    await clearTheWay(path)
    await listen(server, path)
    chmodSync(path, 0o600)
  } catch (error) {
    throw fileError(error, `listen on ${path}`)
  }
}

/** `sockaddr_un` holds 104 bytes on macOS, the closing zero included; a longer path would be cut silently. */
function refuseLongPath(path: string): void {
  const bytes = Buffer.byteLength(path) + 1
  if (bytes > LIMITS.socketPathBytes)
    throw new BsmError(
      'BOOT_CONFIG_INVALID',
      'app',
      `The socket path ${path} is ${bytes} bytes long; ${LIMITS.socketPathBytes} fit.`,
      {
        nextStep: 'Point BSM_STATE_DIR to a shorter path.',
      },
    )
}

async function clearTheWay(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!stat.isSocket()) throw new Error('something else lies there')
  if (await answers(path))
    throw new BsmError('BUSY', 'app', `Another process listens on ${path}.`, {
      nextStep: 'Stop it, or use another BSM_STATE_DIR.',
    })
  removeFile(path)
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(path)
    const done = (live: boolean): void => {
      clearTimeout(timer)
      probe.destroy()
      resolve(live)
    }
    // A listener too busy to accept is alive all the same.
    const timer = setTimeout(() => done(true), PROBE_MS)
    probe.on('connect', () => done(true))
    probe.on('error', (error) => done(errnoOf(error) !== 'ECONNREFUSED' && errnoOf(error) !== 'ENOENT'))
  })
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // bind(2) happens within listen(), so the mask holds for the socket and for nothing else.
    const mask = process.umask(0o177)
    try {
      server.listen(path, () => {
        server.off('error', reject)
        resolve()
      })
    } finally {
      process.umask(mask)
    }
  })
}
