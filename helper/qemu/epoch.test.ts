import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Epochs } from './epoch.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bsm-epoch-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const keyPath = () => join(directory, 'config', 'manifest.key')
const state = () => join(directory, 'state')
const open = () => new Epochs(state(), keyPath())
const file = () => join(state(), 'epoch')

describe('epochs', () => {
  it('begin at 1 and rise', async () => {
    const epochs = open()
    expect([(await epochs.next()).epoch, (await epochs.next()).epoch]).toEqual([1, 2])
  })

  it('are on disk before they are used', async () => {
    const { epoch } = await open().next()
    expect(readFileSync(file(), 'utf8')).toContain(`"epoch": ${epoch}`)
    expect(statSync(file()).mode & 0o777).toBe(0o600)
    expect(readdirSync(state())).toEqual(['epoch'])
  })

  it('go on where an earlier helper stopped', async () => {
    await open().next()
    expect((await open().next()).epoch).toBe(2)
  })

  it('leave nothing half done behind them, whenever the helper ends', () => {
    const taking = open().next()
    expect(readdirSync(state())).toEqual(['epoch'])
    expect(readdirSync(join(directory, 'config', 'epoch-floors'))).toHaveLength(1)
    return taking
  })

  it('asked for at once are all different', async () => {
    const epochs = open()
    const taken = await Promise.all(Array.from({ length: 8 }, async () => (await epochs.next()).epoch))
    expect(new Set(taken).size).toBe(8)
  })

  it('come with a token of their own', async () => {
    const epochs = open()
    const [first, second] = [await epochs.next(), await epochs.next()]
    expect(first.token).toMatch(/^[0-9a-f]{64}$/)
    expect(second.token).not.toBe(first.token)
  })

  it.each(['', 'x', '-1', '7', '9007199254740993'])(
    'are not guessed from a damaged file (%j)',
    async (text) => {
      mkdirSync(state())
      writeFileSync(file(), text, { mode: 0o600 })
      const before = Math.floor(Date.now() / 1000)
      // Beyond whatever a counter can have reached.
      expect((await open().next()).epoch).toBeGreaterThan(before)
    },
  )

  it('go on above the floor when their file is damaged', async () => {
    await open().next()
    writeFileSync(file(), 'x', { mode: 0o600 })
    expect((await open().next()).epoch).toBe(2)
  })

  it('do not begin again when the file is gone, or an earlier one is put back', async () => {
    await open().next()
    const early = readFileSync(file(), 'utf8')
    await open().next()
    rmSync(file())
    expect((await open().next()).epoch).toBe(3)
    writeFileSync(file(), early, { mode: 0o600 })
    expect((await open().next()).epoch).toBe(4)
    rmSync(join(directory, 'config', 'epoch-floors'), { recursive: true })
    expect((await open().next()).epoch).toBe(5)
  })

  it('are not taken from what another key signed', async () => {
    await open().next()
    const other = new Epochs(state(), join(directory, 'other', 'manifest.key'))
    expect((await other.next()).epoch).toBeGreaterThan(1_000_000_000)
  })

  it('follow no link that was planted', async () => {
    const victim = join(directory, 'victim')
    writeFileSync(victim, 'precious')
    mkdirSync(state())
    symlinkSync(victim, join(state(), 'epoch.new'))
    await open().next()
    expect(readFileSync(victim, 'utf8')).toBe('precious')
    rmSync(file())
    symlinkSync(victim, file())
    expect(open).toThrow('symbolic link')
  })
})
