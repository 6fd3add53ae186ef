import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Epochs } from './epoch.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bsm-epoch-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

describe('epochs', () => {
  it('begin at 1 and rise', async () => {
    const epochs = new Epochs(directory)
    expect([(await epochs.next()).epoch, (await epochs.next()).epoch]).toEqual([1, 2])
  })

  it('are on disk before they are used', async () => {
    const { epoch } = await new Epochs(directory).next()
    expect(readFileSync(join(directory, 'epoch'), 'utf8')).toBe(`${epoch}\n`)
  })

  it('go on where an earlier helper stopped', async () => {
    await new Epochs(directory).next()
    expect((await new Epochs(directory).next()).epoch).toBe(2)
  })

  it('asked for at once are all different', async () => {
    const epochs = new Epochs(directory)
    const taken = await Promise.all(Array.from({ length: 8 }, async () => (await epochs.next()).epoch))
    expect(new Set(taken).size).toBe(8)
  })

  it('come with a token of their own', async () => {
    const epochs = new Epochs(directory)
    const [first, second] = [await epochs.next(), await epochs.next()]
    expect(first.token).toMatch(/^[0-9a-f]{64}$/)
    expect(second.token).not.toBe(first.token)
  })

  it.each(['', 'x', '-1', '1.5', '9007199254740993'])('are not guessed from a damaged file (%j)', (text) => {
    writeFileSync(join(directory, 'epoch'), text === '' ? 'nothing' : text)
    expect(() => new Epochs(directory)).toThrow('is damaged')
  })
})
