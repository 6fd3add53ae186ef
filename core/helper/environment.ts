/**
 * What a helper may inherit. Everything else stays behind: a shell's environment holds tokens and keys,
 * and loader variables (`NODE_OPTIONS`, `LD_PRELOAD`, `DYLD_*`) would let it choose the helper's code.
 */
const INHERITED = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'LANG',
  'LC_ALL',
  'LC_CTYPE',
  'TZ',
  'TMPDIR',
  'XDG_RUNTIME_DIR',
  'BSM_LAUNCHER',
  'BSM_QEMU',
] as const

export function helperEnvironment(
  from: Readonly<Record<string, string | undefined>>,
  own: Readonly<Record<string, string>>,
): Record<string, string> {
  const env: Record<string, string> = {}
  for (const name of INHERITED) {
    const value = from[name]
    if (value !== undefined) env[name] = value
  }
  return { ...env, ...own }
}
