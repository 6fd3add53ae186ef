import { describe, expect, it } from 'vitest'
import { AppSnapshot } from '../../core/protocol/index.ts'
import { every } from '../../renderer/fixtures/snapshots.ts'

describe("the page's fixtures", () => {
  it.each(Object.entries(every))('%s is a snapshot that the app could send', (_name, snapshot) => {
    expect(AppSnapshot.parse(snapshot)).toEqual(snapshot)
  })
})
