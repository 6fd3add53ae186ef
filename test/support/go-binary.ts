import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { repository } from './image.ts'

/** Compiles one of the tests' own Go programs, statically, to `out`. */
export function buildGo(folder: string, out: string, arch?: 'arm64'): void {
  execFileSync('go', ['build', '-trimpath', '-buildvcs=false', '-ldflags=-s -w', '-o', out, '.'], {
    cwd: join(repository, folder),
    env: {
      ...process.env,
      CGO_ENABLED: '0',
      GOTOOLCHAIN: 'local',
      ...(arch === undefined ? {} : { GOOS: 'linux', GOARCH: arch }),
    },
    timeout: 120_000,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}
