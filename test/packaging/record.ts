import { spawn } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from '../../build/root.ts'
import type { Fixture } from './fixture.ts'
import type { Call } from './recorded-mac.ts'

export const TEAM = 'ABCDE12345'

/** Environment of a release; the key file is there and says nothing. */
export function releaseEnvironment({ folder }: Fixture): Record<string, string> {
  const key = join(folder, 'AuthKey.p8')
  writeFileSync(key, 'stand-in')
  return {
    APPLE_TEAM_ID: TEAM,
    APPLE_API_KEY: key,
    APPLE_API_KEY_ID: 'KEYID',
    APPLE_API_ISSUER: 'ISSUER',
    BSM_SOURCE_CONTACT: 'source@example.org',
  }
}

export type Recorded = { code: number; output: string; calls: Call[] }

/** Packages in a process that takes itself for a Mac, and returns every macOS tool that it called, in order. */
export async function record(
  fixture: Fixture,
  kind: 'release' | 'development',
  env: Readonly<Record<string, string>>,
): Promise<Recorded> {
  const log = join(fixture.folder, 'calls.jsonl')
  rmSync(log, { force: true })
  const dmgbuild = join(fixture.folder, 'dmgbuild')
  writeFileSync(dmgbuild, '')
  const here = (name: string): string => pathToFileURL(join(root, 'test/packaging', name)).href
  const child = spawn(
    process.execPath,
    [
      ...['--import', 'tsx', '--import', here('recorded-mac.ts')],
      join(root, 'test/packaging/recorded-release.ts'),
      ...[kind, fixture.project.root, JSON.stringify(fixture.parts), fixture.electronDist],
    ],
    {
      // As npm starts it, in the checkout.
      cwd: fixture.project.root,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: fixture.folder,
        ELECTRON_BUILDER_7ZIP_PATH: '/usr/bin/7za',
        ELECTRON_BUILDER_COMPRESSION_LEVEL: '1',
        CUSTOM_DMGBUILD_PATH: dmgbuild,
        BSM_RECORDED_CALLS: log,
        ...env,
      },
    },
  )
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => resolve(status ?? 1))
  })
  const lines = existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []
  return { code, output, calls: lines.map((line) => JSON.parse(line) as Call) }
}
