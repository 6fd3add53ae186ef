import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { within } from '../support/deadline.ts'
import { repository } from '../support/image.ts'
import { tree } from '../support/processes.ts'
import type { Scratch } from '../support/scratch.ts'

const DEADLINE_MS = 180_000

/** `npm start` as a person runs it, set-up included, in a scratch world. */
export class NpmStart {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /** Resolves with the line that has the page's address. */
  static async run(scratch: Scratch, args: string[]): Promise<NpmStart> {
    const child = spawn(process.execPath, [join(repository, 'build/bootstrap.mjs'), 'start', ...args], {
      cwd: repository,
      env: scratch.environment({ DISPLAY: '' }),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    const url = new Promise<string>((resolve, reject) => {
      const take = (chunk: Buffer) => {
        output += chunk.toString()
        const match = /http:\/\/127\.0\.0\.1:\d+\S*/.exec(output)
        if (match) resolve(match[0])
      }
      child.stdout.on('data', take)
      child.stderr.on('data', take)
      child.on('exit', () => reject(new Error(`npm start ended:\n${output}`)))
    })
    await within(DEADLINE_MS, 'the address of the page', url)
    return new NpmStart(child)
  }

  get processes(): number[] {
    return tree(this.#child.pid ?? 0).map(({ pid }) => pid)
  }

  /** Ctrl-C, and the end of everything. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()))
    this.#child.kill('SIGINT')
    await within(DEADLINE_MS, 'the end of npm start', gone)
  }
}
