/**
 * Takes the house's own `BSM_*` variables out of an environment. They serve development: in a packaged app whoever
 * sets the environment of a login session would choose its directories and programs.
 */
export function dropOverrides(env: Record<string, string | undefined>): void {
  for (const name of Object.keys(env)) if (name.startsWith('BSM_')) Reflect.deleteProperty(env, name)
}
