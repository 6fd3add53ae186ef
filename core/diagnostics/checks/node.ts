import type { Check } from '../check.ts'

const MINIMUM = [20, 19] as const

export const node: Check = {
  id: 'node',
  title: 'Node',
  run({ nodeVersion }) {
    const [major = 0, minor = 0] = nodeVersion.split('.').map(Number)
    const [needMajor, needMinor] = MINIMUM
    if (major > needMajor || (major === needMajor && minor >= needMinor))
      return { status: 'ok', message: `Node ${nodeVersion}` }
    return {
      status: 'fail',
      message: `Node ${nodeVersion} is too old; ${needMajor}.${needMinor} or newer is needed`,
      remedy: 'install a current Node from nodejs.org or your package manager',
    }
  },
}
