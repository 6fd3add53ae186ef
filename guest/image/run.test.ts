import { describe, expect, it } from 'vitest'
import { ImageBuildError } from './error.ts'
import { run } from './run.ts'

describe('a program of the image build', () => {
  it('gives what it printed', async () => {
    expect(await run('cat', [], { input: 'hello' })).toBe('hello')
  })

  it('is killed at its deadline, even if what it started holds on to its output', async () => {
    const work = run('sh', ['-c', 'echo so far so good >&2; sleep 5; true'], {
      deadline: 300,
      label: 'the job',
    })
    await expect(work).rejects.toThrow(/^the job did not end within 0.3 s and was killed.*so far so good/)
  })

  it('fails with its last words and the next step', async () => {
    const work = run('sh', ['-c', 'echo no such luck >&2; exit 3'], { next: 'Try your luck again.' })
    await expect(work).rejects.toThrow(/failed \(3\): no such luck\s+Try your luck again\.$/)
    await expect(work).rejects.toBeInstanceOf(ImageBuildError)
  })

  it('says so when it is not installed', async () => {
    await expect(run('bsm-no-such-program', [])).rejects.toThrow(/could not be started.*Install it/)
  })
})
