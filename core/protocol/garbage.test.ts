import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { garbageCollector } from './garbage.ts'

it('collects what nobody holds any more, at every third call', async () => {
  const workIsOver = garbageCollector(3)
  for (let turn = 0; turn < 2; turn += 1) {
    const garbage = new WeakRef({})
    for (const isCollected of [false, false, true]) {
      workIsOver()
      // One for the collection, one for what its end sets going.
      await setImmediate()
      await setImmediate()
      expect(garbage.deref() === undefined).toBe(isCollected)
    }
  }
})
