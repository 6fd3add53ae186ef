import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { commandLine, parentOf, parsePs, tree } from './processes.ts'

it('reads of ps, as on macOS, what /proc says', () => {
  const { stdout } = spawnSync('ps', ['-ww', '-ax', '-o', 'pid=,ppid=,stat=,lstart=,command='], {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  })
  const own = parsePs(stdout).get(process.pid)
  expect(own?.parent).toBe(parentOf(process.pid))
  expect(own?.command).toBe(commandLine(process.pid))
  expect(Date.parse(own?.startedAt ?? '')).toBeLessThanOrEqual(Date.now())
})

it('takes the columns as macOS prints them', () => {
  const rows = parsePs(
    '    1     0 Ss   Thu Nov 26 08:00:01 2026     /sbin/launchd\n' +
      '  812     1 S+   Thu Nov  6 08:01:17 2026     /tmp/bsm vz-helper boot --kernel /a b/Image\n' +
      '  900   812 Z    Thu Nov 26 09:00:00 2026     (zombie)\n',
  )
  expect([...rows.keys()]).toEqual([1, 812, 900])
  expect(rows.get(812)).toEqual({
    state: 'S',
    parent: 1,
    startedAt: 'Thu Nov  6 08:01:17 2026',
    command: '/tmp/bsm vz-helper boot --kernel /a b/Image',
  })
  expect(rows.get(900)?.state).toBe('Z')
})

it('walks the tree of a process', () => {
  expect(tree(process.pid)[0]?.pid).toBe(process.pid)
  expect(tree(process.ppid).map(({ pid }) => pid)).toContain(process.pid)
})
