/**
 * Headers of every answer (protocol §5): the page may load itself, talk to its own app, and nothing else. `talksTo` is
 * where its app listens beside its own origin; nowhere in the app's own windows, whose way is IPC.
 */
export const securityHeaders = (talksTo?: `ws://127.0.0.1:${number}`): Record<string, string> => ({
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    `connect-src 'self'${talksTo === undefined ? '' : ` ${talksTo}`}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
})

/**
 * Whether a request was meant for us: a name that was rebound to 127.0.0.1 shows in `Host`, another
 * site's page in `Origin`. Both are compared as bytes.
 */
export const isOurHost = (host: string | undefined, port: number): boolean => host === `127.0.0.1:${port}`
export const isOurOrigin = (origin: string | undefined, port: number): boolean =>
  origin === `http://127.0.0.1:${port}`
