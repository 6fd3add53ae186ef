import type { Check } from '../check.ts'

const NEEDS = [
  { program: 'go', args: ['version'], package: 'golang-go' },
  { program: 'mke2fs', args: ['-V'], package: 'e2fsprogs' },
  { program: 'dpkg-deb', args: ['--version'], package: 'dpkg' },
  { program: 'chromium', args: ['--version'], package: 'chromium' },
] as const

/** What building the guest image and running the tests need; a finished build runs without. */
export const development: Check = {
  id: 'development',
  title: 'for building and testing',
  async run({ root, run }) {
    if (root === null) return null
    const results = await Promise.all(
      NEEDS.map(async (need) => ({
        need,
        found: await run(need.program, need.args).then(
          () => true,
          () => false,
        ),
      })),
    )
    const missing = results.filter((result) => !result.found).map((result) => result.need)
    if (missing.length === 0) return { status: 'ok', message: NEEDS.map((need) => need.program).join(', ') }
    return {
      status: 'warn',
      message: `missing: ${missing.map((need) => need.program).join(', ')}`,
      remedy: `apt-get install -y --no-install-recommends ${missing.map((need) => need.package).join(' ')}`,
    }
  },
}
