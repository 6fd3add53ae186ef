import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { defaultSettings, SettingsStore } from './settings.ts'
import { temporaryDirectory } from './testing/fixture.ts'

const settingsPath = (): string => join(temporaryDirectory(), 'settings.json')
const TARGETS = { reset_target_fast_ms: 1_000, reset_target_cold_ms: 5_000 }
const DEFAULTS = { cpus: 1, memory_mib: 512, image: 'base', ...TARGETS }

describe('settings', () => {
  it.each([
    ['linux', 'x64', true, { cpus: 1, memory_mib: 512 }],
    ['linux', 'arm64', false, { cpus: 1, memory_mib: 512 }],
    ['linux', 'arm64', true, { cpus: 2, memory_mib: 1024 }],
    ['darwin', 'arm64', false, { cpus: 2, memory_mib: 1024 }],
  ] as const)('by default on %s %s (KVM: %s) are %j', (platform, arch, kvm, expected) => {
    expect(defaultSettings(platform, arch, () => kvm)).toMatchObject(expected)
  })

  it('keep what a person set, and only that', () => {
    const path = settingsPath()
    expect(new SettingsStore(path, DEFAULTS).set({ cpus: 4 })).toEqual({ ...DEFAULTS, cpus: 4 })
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({ cpus: 4 })
    expect(new SettingsStore(path, { ...DEFAULTS, memory_mib: 1024 }).current.memory_mib).toBe(1024)
  })

  it('of one run stand above what is set, are not kept, and yield to what is set meanwhile', () => {
    const path = settingsPath()
    new SettingsStore(path, DEFAULTS).set({ image: 'python', cpus: 4 })
    const store = new SettingsStore(path, DEFAULTS, { image: 'mine', memory_mib: 256 })
    expect(store.current).toEqual({ cpus: 4, memory_mib: 256, image: 'mine', ...TARGETS })
    expect(store.set({ image: 'base' })).toEqual({ cpus: 4, memory_mib: 256, image: 'base', ...TARGETS })
    expect(new SettingsStore(path, DEFAULTS).current).toEqual({ ...DEFAULTS, cpus: 4, image: 'base' })
  })

  it('refuse what no VM can have', () => {
    const store = new SettingsStore(settingsPath(), DEFAULTS)
    expect(() => store.set({ memory_mib: 1 })).toThrow()
    expect(() => store.set({ image: '../../etc' })).toThrow()
    expect(store.current).toEqual(DEFAULTS)
  })

  it('that cannot be read are a sentence', () => {
    const path = settingsPath()
    writeFileSync(path, '{"cpus": "many"}')
    expect(() => new SettingsStore(path)).toThrow('cannot be read as settings')
  })
})
