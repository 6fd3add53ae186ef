import { describe, expect, it } from 'vitest'
import type { Helper } from '../support/helper.ts'
import { HELPERS } from '../support/helper-binary.ts'
import { VM_TEST_MS, useBench } from './bench.ts'

/** Seconds of a busy machine are between the host's clock and the guest's answer; unset it would be years off. */
const isNow = (seconds: number) => expect(Math.abs(seconds - Date.now() / 1000)).toBeLessThan(10)

/** What one dispatch leaves is gone in the next, also what only root could leave (test image). */
describe.each(HELPERS)('nothing persists over a reset of the %s helper', (which) => {
  const bench = useBench('test', which)

  const root = async (vm: Helper, command: string): Promise<string> => {
    const { stdout, error, exit_code, stderr } = await vm.exec('root.sh', { command })
    expect({ error, exit_code }, stderr).toEqual({ error: undefined, exit_code: 0 })
    return stdout.trim()
  }
  const user = async (vm: Helper, command: string): Promise<string> => (await vm.sh(command)).stdout.trim()

  const reset = async (vm: Helper) => {
    const response = await vm.reset()
    expect(response.verification_passed, JSON.stringify(response.failed)).toBe(true)
  }

  const matrix: [string, typeof user, string, string, RegExp][] = [
    ['a file in the home', user, 'echo left > ~/mark', 'cat ~/mark 2>/dev/null; true', /left/],
    ['a file in /tmp', user, 'echo left > /tmp/mark', 'cat /tmp/mark 2>/dev/null; true', /left/],
    ['shared memory', user, 'echo left > /dev/shm/mark', 'cat /dev/shm/mark 2>/dev/null; true', /left/],
    ['a file of the system', root, 'echo left > /etc/mark', 'cat /etc/mark 2>/dev/null; true', /left/],
    [
      'a changed program',
      root,
      'rm /bin/whoami; printf "#!/bin/sh\\necho left" > /bin/whoami',
      'cat /bin/whoami | head -c 30',
      /left/,
    ],
    ['a mount', root, 'busybox mount -t tmpfs left /tmp', 'cat /proc/mounts', /left/],
    [
      'a kernel parameter',
      root,
      'echo left > /proc/sys/kernel/hostname',
      'cat /proc/sys/kernel/hostname',
      /left/,
    ],
  ]
  for (const [what, as, leave, look, left] of matrix)
    it(
      `${what} is gone`,
      bench.shared(async ({ vm }) => {
        await as(vm, leave)
        expect(await as(vm, look), 'it is there before the reset').toMatch(left)
        await reset(vm)
        expect(await as(vm, look)).not.toMatch(left)
      }),
      VM_TEST_MS,
    )

  it(
    'a root process that forked twice and left its session is gone',
    bench.shared(async ({ vm }) => {
      await root(vm, '(setsid sh -c "exec sleep 4242" >/dev/null 2>&1 </dev/null &) ; sleep 0.2')
      await reset(vm)
      expect(await root(vm, 'cat /proc/[0-9]*/cmdline | tr "\\0" " "')).not.toMatch(/sleep 4242/)
    }),
    VM_TEST_MS,
  )

  it(
    'a process that forked twice does not even outlive its own dispatch',
    bench.shared(async ({ vm }) => {
      await user(vm, '(setsid sh -c "exec sleep 4343" >/dev/null 2>&1 </dev/null &) ; sleep 0.2; echo ok')
      expect(await root(vm, 'cat /proc/[0-9]*/cmdline | tr "\\0" " "')).not.toMatch(/sleep 4343/)
    }),
    VM_TEST_MS,
  )

  it(
    'an environment change is gone',
    bench.shared(async ({ vm }) => {
      await user(vm, 'echo "export MARK=left" > ~/.profile; export MARK=left; env')
      await vm.sh(':', { env: { MARK: 'left' } })
      expect((await vm.exec('env', {})).stdout, 'not even in the next dispatch of this epoch').not.toMatch(
        /MARK/,
      )
      await reset(vm)
      expect((await vm.exec('env', {})).stdout).not.toMatch(/MARK/)
      expect(await user(vm, 'sh -lc env')).not.toMatch(/MARK/)
    }),
    VM_TEST_MS,
  )

  it(
    'a changed clock is right again',
    bench.shared(async ({ vm }) => {
      await root(vm, 'date -s "2001-02-03 04:05:06"')
      expect(await user(vm, 'date +%Y')).toBe('2001')
      await reset(vm)
      isNow(Number(await user(vm, 'date +%s')))
    }),
    VM_TEST_MS,
  )

  it(
    'three restores draw three random UUIDs and have the right time',
    bench.shared(async ({ vm }) => {
      const seen = new Set<string>()
      for (let n = 0; n < 3; n += 1) {
        await reset(vm)
        const [uuid = '', time] = (await user(vm, 'cat /proc/sys/kernel/random/uuid; date +%s')).split('\n')
        seen.add(uuid)
        isNow(Number(time))
      }
      expect(seen.size).toBe(3)
    }),
    VM_TEST_MS,
  )

  it(
    'random bytes of user space differ between restores too',
    bench.shared(async ({ vm }) => {
      const draw = async () => {
        await reset(vm)
        return await user(vm, 'head -c 16 /dev/urandom | od -An -tx1')
      }
      expect(await draw()).not.toBe(await draw())
    }),
    VM_TEST_MS,
  )
})
