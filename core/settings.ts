import { accessSync, constants } from 'node:fs'
import { fileError, readSmallFile, replaceFile } from './files.ts'
import { BsmError, Settings, SettingsPatch } from './protocol/index.ts'

/** Milliseconds, by the protocol (§1). */
const RESET_TARGETS = { reset_target_fast_ms: 1_000, reset_target_cold_ms: 5_000 }

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
  const rest = { image: 'base', ...RESET_TARGETS }
  return hardware ? { cpus: 2, memory_mib: 1024, ...rest } : { cpus: 1, memory_mib: 512, ...rest }
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
  #set: SettingsPatch
  /** Asked for on the command line: stands above what is set, and is gone with the process. */
  #thisRun: SettingsPatch

  constructor(path: string, defaults: Settings = defaultSettings(), thisRun: SettingsPatch = {}) {
    this.#path = path
    this.#defaults = defaults
    this.#set = load(path)
    this.#thisRun = SettingsPatch.parse(thisRun)
  }

  get defaults(): Settings {
    return this.#defaults
  }

  get current(): Settings {
    return Settings.parse({ ...this.#defaults, ...this.#set, ...this.#thisRun })
  }

  /** On disk before it returns. What is set now counts now, whatever this run began with. */
  set(patch: SettingsPatch): Settings {
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

function load(path: string): SettingsPatch {
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
