import { describe, expect, it } from 'vitest'
import { VM_TEST_MS, useBench } from './bench.ts'

/** What a file tool gives is the file's, whatever its size: a result that were cut would be spoiled, not shortened. */
describe('the file tools', () => {
  const bench = useBench()
  const PAGE = 1 << 20

  it(
    'fs.read gives a large binary file whole, page by page',
    bench.shared(async ({ vm }) => {
      const path = '/usr/bin/busybox'
      const { files } = await vm.sh('true', { files_out: [path] })
      const file = files?.[0]
      if (file === undefined || !('data_b64' in file)) throw new Error(JSON.stringify(file))
      const original = Buffer.from(file.data_b64, 'base64')
      expect(original.length).toBeGreaterThan(PAGE)

      const pages: Buffer[] = []
      for (let offset = 0; ;) {
        const page = await vm.exec('fs.read', { path, offset })
        expect(page.error).toBeUndefined()
        expect(page.truncated?.stdout).toBe(false)
        const bytes = Buffer.from(page.stdout, page.encoding?.stdout === 'base64' ? 'base64' : 'utf8')
        pages.push(bytes)
        offset += bytes.length
        if (bytes.length < PAGE) break
      }
      expect(pages.length).toBe(Math.ceil(original.length / PAGE))
      expect(Buffer.concat(pages).equals(original)).toBe(true)
    }),
    VM_TEST_MS,
  )

  it(
    'fs.read takes no length that a result could not carry uncut',
    bench.shared(async ({ vm }) => {
      const refused = await vm.exec('fs.read', { path: '/usr/bin/busybox', length: PAGE + 1 })
      expect(refused.error?.code).toBe('BAD_REQUEST')
      expect(refused.error?.message).toMatch(/"length" must be between 0 and 1048576/)
    }),
    VM_TEST_MS,
  )
})
