import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { App, type AppOptions } from '../app.ts'
import { pathsIn, type Paths } from '../paths.ts'
import type { AppSnapshot, ImageManifest } from '../protocol/index.ts'
import { scriptedHelper } from './scripted-helper-command.ts'

/** Short, for the 104 bytes of a socket path. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'bsm-'))
  cleanups.push(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

const cleanups: (() => void | Promise<void>)[] = []
/** Runs after the test, newest first. */
export const onCleanup = (step: () => void | Promise<void>): void => void cleanups.push(step)

afterEach(async () => {
  for (const step of cleanups.splice(0).reverse()) await step()
})

export function temporaryPaths(): Paths {
  const root = temporaryDirectory()
  return pathsIn(join(root, 's'), join(root, 'c'))
}

const digest = (char: string): string => `sha256:${char.repeat(64)}`

/** A manifest without the files it names: the scripted helper opens none. */
export function imageDirectory(): string {
  const directory = temporaryDirectory()
  const file = (name: string, char: string) => ({ file: name, size: 512, digest: digest(char) })
  const manifest: ImageManifest = {
    schema: 'bsm-image/1',
    image_version: '1',
    recipe: 'base',
    arch: 'arm64',
    image_digest: digest('c'),
    kernel: file('Image', 'd'),
    initrd: file('initrd.img', 'e'),
    rootfs: file('rootfs.img', 'a'),
    cmdline: 'console=hvc0',
    tools: [{ name: 'echo', description: 'Says it again.', params_schema: {} }],
    inputs: [],
  }
  mkdirSync(join(directory, 'base'))
  writeFileSync(join(directory, 'base', 'manifest.json'), JSON.stringify(manifest))
  return directory
}

const FAST_LADDER = { shutdownMs: 2_000, eofMs: 1_000, sigtermMs: 1_000, sigkillMs: 2_000 }

/** An app on the scripted helper, stopped after the test. */
export function scriptedApp(options: Partial<AppOptions> & { script?: string } = {}): App {
  const { script, ...rest } = options
  const app = new App({
    version: '0.0.0-test',
    paths: temporaryPaths(),
    imageDir: imageDirectory(),
    helper: scriptedHelper(script),
    stopLadder: FAST_LADDER,
    restartLimits: { restarts: 5, windowMs: 60_000, firstDelayMs: 10, longestDelayMs: 50, stableMs: 60_000 },
    ...rest,
  })
  onCleanup(() => app.stop())
  return app
}

/** The first snapshot that `matches`, now or within `withinMs`. */
export function until(
  app: App,
  matches: (snapshot: AppSnapshot) => boolean,
  withinMs = 20_000,
): Promise<AppSnapshot> {
  return new Promise((resolve, reject) => {
    const look = (snapshot: AppSnapshot): void => {
      if (!matches(snapshot)) return
      clearTimeout(timer)
      unsubscribe()
      resolve(snapshot)
    }
    const timer = setTimeout(() => {
      unsubscribe()
      reject(new Error(`it stayed ${app.snapshot().state}: ${app.snapshot().message}`))
    }, withinMs)
    const unsubscribe = app.subscribe(look)
    look(app.snapshot())
  })
}

export const ready = (app: App): Promise<AppSnapshot> => until(app, ({ state }) => state === 'ready')
