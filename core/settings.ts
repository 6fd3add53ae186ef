import { accessSync, constants } from 'node:fs'
import type { z } from 'zod'
import { fileError, readSmallFile, replaceFile } from './files.ts'
import { BsmError, Settings, SettingsPatch } from './protocol/index.ts'

type Patch = z.infer<typeof SettingsPatch>

/**
 * The VM of someone who set nothing: one CPU and 512 MiB where QEMU must emulate ARM64 (a second emulated
 * CPU makes every step slower), two and 1024 MiB where the hardware runs the guest.
 */
export function defaultSettings(
  platform: NodeJS.Platform = process.platform,
  arch: string = process.arch,
  kvm: () => boolean = kvmUsable,
): Settings {
  const hardware = platform === 'darwin' || (platform === 'linux' && arch === 'arm64' && kvm())
  return hardware ? { cpus: 2, memory_mib: 1024, image: 'base' } : { cpus: 1, memory_mib: 512, image: 'base' }
}

function kvmUsable(): boolean {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** `settings.json`: what a person set; everything else is a default and may improve with the app. */
export class SettingsStore {
  readonly #path: string
  readonly #defaults: Settings
  #set: Patch
  /** Asked for on the command line: stands above what is set, and is gone with the process. */
  #thisRun: Patch

  constructor(path: string, defaults: Settings = defaultSettings(), thisRun: Patch = {}) {
    this.#path = path
    this.#defaults = defaults
    this.#set = load(path)
    this.#thisRun = SettingsPatch.parse(thisRun)
  }

  get current(): Settings {
    return Settings.parse({ ...this.#defaults, ...this.#set, ...this.#thisRun })
  }

  /** On disk before it returns. What is set now counts now, whatever this run began with. */
  set(patch: Patch): Settings {
    const merged = SettingsPatch.parse({ ...this.#set, ...patch })
    try {
      replaceFile(this.#path, `${JSON.stringify(merged, null, 2)}\n`)
    } catch (error) {
      throw fileError(error, 'save settings.json')
    }
    this.#set = merged
    this.#thisRun = Object.fromEntries(Object.entries(this.#thisRun).filter(([name]) => !(name in patch)))
    return this.current
  }
}

function load(path: string): Patch {
  try {
    const text = readSmallFile(path, 64 * 1024)
    return text === null ? {} : SettingsPatch.parse(JSON.parse(text))
  } catch (error) {
    throw new BsmError('BOOT_CONFIG_INVALID', 'app', `${path} cannot be read as settings.`, {
      nextStep: 'Correct it, or delete it to go back to the defaults.',
      cause: error,
    })
  }
}
