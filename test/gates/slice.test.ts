import { spawn } from 'node:child_process'
import { expect, it } from 'vitest'
import { repository } from '../support/image.ts'

const DEADLINE_MS = 20 * 60_000

it(
  'a slice of every gate holds',
  async () => {
    const gates = spawn(process.execPath, ['--import', 'tsx', 'test/gates/main.ts', '--slice', '--fresh'], {
      cwd: repository,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    for (const stream of [gates.stdout, gates.stderr])
      stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
    const code = await new Promise<number | null>((resolve) => gates.once('close', resolve))
    expect(code, said).toBe(0)
    // What is seen of it in the log of a run that passed.
    console.log(said.slice(-3_000))
  },
  DEADLINE_MS,
)
