import { expect, it } from 'vitest'
import { askPreflight } from './preflight.ts'

const saying = (text: string, code: number) => ({
  command: process.execPath,
  args: ['-e', `process.stdout.write(${JSON.stringify(text)}); process.exitCode = ${code}`, '--'],
})
const REPORT = {
  ok: false,
  macos_version: null,
  arch: 'x64',
  fast_snapshot_supported: true,
  entitlement_present: false,
  backend: 'qemu',
  accelerator: 'tcg',
  host_os: 'Debian',
  rejections: [{ code: 'QEMU_MISSING', message: 'QEMU cannot be run.', remedy: 'Install it.' }],
  warnings: [],
}

it('takes what the helper says, also when it rejects the machine and ends with 64', async () => {
  expect(await askPreflight(saying(`${JSON.stringify(REPORT)}\n`, 64), {})).toEqual(REPORT)
})

it.each([
  ['says nothing', saying('', 70), 'preflight gave no answer'],
  ['says something else', saying('hello', 0), 'preflight gave no answer'],
  ['is not there', { command: '/nowhere/helper', args: [] }, 'cannot be started: it is not there'],
])('is a sentence when the helper %s', async (_what, helper, sentence) => {
  await expect(askPreflight(helper, {})).rejects.toThrow(sentence)
})
