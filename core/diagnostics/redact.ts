/**
 * Takes out of a text what must not leave the machine. A guest's words may be in it, so patterns are
 * wide: to lose a harmless word is cheaper than to give a secret away.
 */
export interface Redaction {
  /** Shown as `~`. */
  readonly home: string
  /** Taken out wherever they stand. */
  readonly secrets: readonly string[]
}

const GONE = '[redacted]'

/** Shapes of keys that are known by their looks. Every repetition is bounded: a guest chose some of the text. */
const SHAPES: readonly RegExp[] = [
  /-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|$)/g,
  /\bbsm_[A-Za-z0-9_-]{16,}/g,
  /\b(?:gh[pousr]|github_pat|glpat|npm|xox[abprs]|sk|pk|rk)[_-][A-Za-z0-9_-]{12,}/g,
  /\bA(?:KIA|SIA)[0-9A-Z]{16}\b/g,
  /\beyJ[A-Za-z0-9_-]{6,2000}\.[A-Za-z0-9_-]{6,}/g,
]
const SCHEME = /\b(Bearer|Basic)\s{1,4}[A-Za-z0-9+/=._~-]{6,}/gi
/** `password=…`, `"api_key": "…"`, `#token=…`, also with quotes that JSON escaped. */
const NAMED =
  /((?:token|secret|passw(?:or)?d|passphrase|api[_-]?key|access[_-]?key|authorization|credential|cookie)[A-Za-z0-9_-]{0,32}(?:\\?["'])?\s{0,4}[:=]\s{0,4}(?:\\?["'])?)([^\s"'\\,;&}]{3,})/gi
/** `https://name:password@host`. */
const USERINFO = /(\b[a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/@:]{1,256}:[^\s/@]{1,256}@/gi

export function redact(text: string, { home, secrets }: Redaction): string {
  let clean = text
  for (const secret of secrets) if (secret.length >= 8) clean = clean.replaceAll(secret, GONE)
  for (const shape of SHAPES) clean = clean.replace(shape, GONE)
  clean = clean
    .replace(USERINFO, `$1${GONE}@`)
    .replace(SCHEME, `$1 ${GONE}`)
    .replace(NAMED, (whole, name: string, value: string) => (value === GONE ? whole : `${name}${GONE}`))
  return home.length > 1 ? clean.replaceAll(home, '~') : clean
}
