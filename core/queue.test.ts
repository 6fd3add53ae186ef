import { describe, expect, it } from 'vitest'
import { BsmError } from './protocol/index.ts'
import { DispatchQueue } from './queue.ts'

/** A job that ends when told to, and notes when it began. */
function jobs() {
  const order: string[] = []
  const endings = new Map<string, () => void>()
  const work = (id: string) => () => {
    order.push(id)
    return new Promise<string>((resolve) => endings.set(id, () => resolve(id)))
  }
  const end = async (id: string): Promise<void> => {
    endings.get(id)?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { order, work, end }
}

const opened = (limits = { perClient: 3, total: 5 }): DispatchQueue => {
  const queue = new DispatchQueue(limits)
  queue.open()
  return queue
}

describe('the dispatch queue', () => {
  it('gives clients their turns: one who queues many delays another by one', async () => {
    const queue = opened()
    const { order, work, end } = jobs()
    for (const id of ['a1', 'a2', 'a3']) void queue.submit('a', id, work(id))
    for (const id of ['b1', 'b2']) void queue.submit('b', id, work(id))
    for (const id of ['a1', 'a2', 'b1', 'a3', 'b2']) await end(id)
    expect(order).toEqual(['a1', 'a2', 'b1', 'a3', 'b2'])
  })

  it('runs one at a time', async () => {
    const queue = opened()
    const { order, work, end } = jobs()
    void queue.submit('a', 'a1', work('a1'))
    void queue.submit('b', 'b1', work('b1'))
    expect(order).toEqual(['a1'])
    await end('a1')
    expect(order).toEqual(['a1', 'b1'])
  })

  it('goes on after a job that fails', async () => {
    const queue = opened()
    await expect(queue.submit('a', 'a1', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    await expect(queue.submit('a', 'a2', () => Promise.resolve(2))).resolves.toBe(2)
  })

  it('is bounded, for one client and for all', async () => {
    const queue = new DispatchQueue({ perClient: 2, total: 3 })
    const { work } = jobs()
    const waiting = ['a1', 'a2', 'b1'].map((id) => queue.submit(id.charAt(0), id, work(id)))
    await expect(queue.submit('a', 'a3', work('a3'))).rejects.toMatchObject({ code: 'BUSY' })
    await expect(queue.submit('c', 'c1', work('c1'))).rejects.toMatchObject({ code: 'BUSY' })
    expect(queue.length).toBe(3)
    queue.refuseAll(new BsmError('DEGRADED', 'app', 'No.'))
    for (const job of waiting) await expect(job).rejects.toMatchObject({ code: 'DEGRADED' })
    expect(queue.length).toBe(0)
  })

  it('is bounded in bytes too, of which nothing counts that no longer waits', async () => {
    const queue = new DispatchQueue({ bytesPerClient: 20, bytes: 30 })
    const { work, end } = jobs()
    const submit = (id: string, bytes: number) => queue.submit(id.charAt(0), id, work(id), { bytes })
    const waiting = [submit('a1', 20), submit('b1', 10)]
    await expect(submit('a2', 1)).rejects.toMatchObject({ code: 'BUSY' })
    await expect(submit('c1', 1)).rejects.toMatchObject({ code: 'BUSY' })
    queue.open()
    waiting.push(submit('a3', 20))
    queue.cancel('a3')
    await expect(waiting.pop()).rejects.toMatchObject({ code: 'CANCELLED' })
    waiting.push(submit('a4', 20))
    for (const id of ['a1', 'b1', 'a4']) await end(id)
    expect(await Promise.all(waiting)).toEqual(['a1', 'b1', 'a4'])
  })

  it('refuses an id that waits or runs', async () => {
    const queue = opened()
    const { work } = jobs()
    void queue.submit('a', 'same', work('same'))
    for (const id of ['same', 'SAME'])
      await expect(queue.submit('b', id, work(id))).rejects.toMatchObject({ code: 'BAD_REQUEST' })
  })

  it('takes a cancelled job out before it ran, and tells one that runs', async () => {
    const queue = opened()
    const { order, work, end } = jobs()
    let signal: AbortSignal | undefined
    void queue.submit('a', 'a1', (own) => ((signal = own), work('a1')()))
    const waiting = queue.submit('a', 'a2', work('a2'))
    expect(queue.cancel('a2')).toBe(true)
    await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(queue.cancel('a1')).toBe(true)
    expect(signal?.aborted).toBe(true)
    await end('a1')
    expect(order).toEqual(['a1'])
  })

  it("does not let one client cancel another's, nor see that it exists", () => {
    const queue = opened()
    const { work } = jobs()
    void queue.submit('a', 'a1', work('a1'))
    void queue.submit('a', 'a2', work('a2'))
    expect(queue.cancel('a1', 'b')).toBe(false)
    expect(queue.cancel('a2', 'b')).toBe(false)
    expect(queue.length).toBe(1)
  })

  it('cancels what a client that went away had waiting', async () => {
    const queue = new DispatchQueue()
    const gone = new AbortController()
    const waiting = queue.submit('a', 'a1', jobs().work('a1'), { signal: gone.signal })
    gone.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(queue.length).toBe(0)
    await expect(queue.submit('a', 'a2', jobs().work('a2'), { signal: gone.signal })).rejects.toMatchObject({
      code: 'CANCELLED',
    })
  })

  it('holds everything back while it is closed, and keeps its place', async () => {
    const queue = new DispatchQueue()
    const { order, work } = jobs()
    void queue.submit('a', 'a1', work('a1'))
    expect(order).toEqual([])
    queue.open()
    expect(order).toEqual(['a1'])
  })
})
