import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createLogger, escapeControl } from './log.ts'
import { temporaryDirectory } from './testing/fixture.ts'

describe('the log', () => {
  it('is bounded, however much is said', () => {
    const directory = temporaryDirectory()
    const logger = createLogger({ directory })
    for (let n = 0; n < 6_000; n += 1) logger.info('x'.repeat(2_000))
    expect(readdirSync(directory).sort()).toEqual(['app.log', 'app.log.1', 'app.log.2', 'app.log.3'])
    for (const name of readdirSync(directory)) {
      const { size, mode } = statSync(join(directory, name))
      expect(size).toBeLessThan(2.2 * 1024 * 1024)
      expect(mode & 0o777).toBe(0o600)
    }
  })

  it('tells people in plain lines, and details to the file alone', () => {
    const directory = temporaryDirectory()
    const said: string[] = []
    const logger = createLogger({ directory, people: { write: (text: string) => said.push(text) } })
    logger.info('It is ready.')
    logger.error('It ended.')
    logger.debug('a detail')
    expect(said.map((line) => line.slice(9))).toEqual(['It is ready.\n', 'error: It ended.\n'])
    expect(readFileSync(join(directory, 'app.log'), 'utf8')).toContain('a detail')
  })

  it('lets no guest text command a terminal', () => {
    expect(escapeControl('a\u001b[2Jb\u009b31m\r\n\u202ec')).toBe(
      'a\\u001b[2Jb\\u009b31m\\u000d\\u000a\\u202ec',
    )
  })
})
