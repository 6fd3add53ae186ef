import { describe, expect, it } from 'vitest'
import { QueryLine } from './query-line.ts'

/** Questions that stay open until they are answered by hand. */
function guest() {
  const open: (() => void)[] = []
  const asked: string[] = []
  const ask = (name: string) => (): Promise<string> => {
    asked.push(name)
    return new Promise((resolve) => open.push(() => resolve(name)))
  }
  return { open, asked, ask }
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('questions to the guest', () => {
  it('are asked one at a time for each client, in their order, four in all', async () => {
    const line = new QueryLine()
    const { open, asked, ask } = guest()
    const answers = ['a1', 'a2', 'b1', 'c1', 'd1', 'e1'].map((name) => line.ask(name.charAt(0), ask(name)))
    await turn()
    expect(asked).toEqual(['a1', 'b1', 'c1', 'd1'])
    open.shift()?.()
    await turn()
    expect(asked).toEqual(['a1', 'b1', 'c1', 'd1', 'a2'])
    for (let n = 0; n < 5; n += 1) {
      open.shift()?.()
      await turn()
    }
    expect(await Promise.all(answers)).toEqual(['a1', 'a2', 'b1', 'c1', 'd1', 'e1'])
  })

  it('are refused when too many wait, and only those of the client who sent them', async () => {
    const line = new QueryLine({ running: 4, waitingPerClient: 2 })
    const { asked, ask } = guest()
    void line.ask('a', ask('a1'))
    void line.ask('a', ask('a2'))
    void line.ask('a', ask('a3'))
    await expect(line.ask('a', ask('a4'))).rejects.toMatchObject({ code: 'BUSY' })
    void line.ask('b', ask('b1'))
    await turn()
    expect(asked).toEqual(['a1', 'b1'])
  })

  it('that fail make room too', async () => {
    const line = new QueryLine()
    await expect(line.ask('a', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    await expect(
      line.ask('a', () => {
        throw new Error('at once')
      }),
    ).rejects.toThrow('at once')
    expect(await line.ask('a', () => Promise.resolve('yes'))).toBe('yes')
  })
})
