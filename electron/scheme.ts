import { protocol, type Session } from 'electron'
import { readStatic, securityHeaders, type App } from '../core/index.ts'
import { ORIGIN, SCHEME, isOwnUrl } from './trust.ts'

/** Once, before the app is ready: our own scheme has an origin and no special powers. */
export function registerScheme(): void {
  protocol.registerSchemesAsPrivileged([
    { scheme: SCHEME, privileges: { standard: true, secure: true, supportFetchAPI: true, codeCache: true } },
  ])
}

/** Serves the built page, and nothing beside it, with the same headers as the headless app. */
export function serveScheme({ protocol: sessionProtocol }: Session, directory: string, engine: App): void {
  sessionProtocol.handle(SCHEME, async (request) => {
    const answer = (status: number, body: Uint8Array<ArrayBuffer> | string, type: string): Response =>
      new Response(request.method === 'HEAD' ? null : body, {
        status,
        headers: { ...securityHeaders(), 'Content-Type': type },
      })
    const refuse = (status: number, sentence: string): Response =>
      answer(status, `${sentence}\n`, 'text/plain; charset=utf-8')
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return refuse(405, 'Only GET and HEAD are answered here.')
    if (!isOwnUrl(request.url)) return refuse(404, 'There is nothing here.')
    try {
      // As it was asked for: to parse it would already have resolved what climbs.
      const file = await readStatic(directory, request.url.slice(ORIGIN.length).split('#', 1)[0] || '/')
      return file === null
        ? refuse(404, 'There is nothing here.')
        : answer(200, new Uint8Array(file.bytes), file.type)
    } catch (error) {
      engine.logger.error({ error }, 'The page could not be read.')
      return refuse(500, 'The page could not be read; see the log of the app.')
    }
  })
}
