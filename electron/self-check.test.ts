import { expect, it } from 'vitest'
import { BsmError, type Distribution } from '../core/protocol/index.ts'
import { selfCheck } from './self-check.ts'

const parts = { imageDir: '/guest', helper: { command: '/helper', args: [] } }
const distribution: Distribution = {
  schema: 'bsm-distribution/1',
  signing: { kind: 'ad_hoc' },
  guest: { base: `sha256:${'1'.repeat(64)}`, python: `sha256:${'2'.repeat(64)}` },
  update_feed: null,
}

async function said(of: Distribution | null, check: (recipe: string) => Promise<void>) {
  const lines: string[] = []
  const ok = await selfCheck(
    '1.2.3',
    parts,
    of,
    (line) => lines.push(line),
    async ({ recipe }) => check(recipe),
  )
  expect(lines).toHaveLength(1)
  return { ok, line: JSON.parse(lines[0] ?? '') as Record<string, unknown> }
}

it('asks for every image, and says which version it is', async () => {
  const asked: string[] = []
  const { ok, line } = await said(distribution, async (recipe) => void asked.push(recipe))
  expect(asked).toEqual(['base', 'python'])
  expect({ ok, line }).toEqual({ ok: true, line: { ok: true, version: '1.2.3', images: ['base', 'python'] } })
})

it('says what is not as it was built, and what to do', async () => {
  const { ok, line } = await said(distribution, async () => {
    throw new BsmError('IMAGE_MISMATCH', 'app', 'Another image.', { nextStep: 'Install again.' })
  })
  expect(ok).toBe(false)
  expect(line).toMatchObject({ ok: false, error: { code: 'IMAGE_MISMATCH', next_step: 'Install again.' } })
})

it('has nothing to compare with outside of a bundle', async () => {
  const { ok, line } = await said(null, async () => undefined)
  expect(ok).toBe(false)
  expect(line).toMatchObject({ error: { code: 'BOOT_CONFIG_INVALID' } })
})
