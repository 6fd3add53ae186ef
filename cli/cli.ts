import { once } from 'node:events'
import type { Command } from 'commander'
import type { Control } from '../client/index.ts'
import { connectControl } from './connect.ts'
import { terminalSafeJson } from './format/escape.ts'
import { columnsOf, wrap } from './format/wrap.ts'
import type { Io } from './io.ts'

/** What every command is given. */
export class Cli {
  readonly io: Io
  /** Of the command that ran. */
  exitCode = 0

  constructor(io: Io) {
    this.io = io
  }

  /** A connection to the running app; `AppNotRunningError` when there is none. */
  control(): Promise<Control> {
    return connectControl(this.io.env)
  }

  say(line: string): void {
    this.io.stdout.write(`${line}\n`)
  }

  /** A line for people, broken where their terminal ends. What they are to copy is said whole. */
  tell(line: string): void {
    for (const piece of wrap(line, columnsOf(this.io.stdout))) this.say(piece)
  }

  /** For people beside the result. */
  note(line: string): void {
    this.io.stderr.write(`${line}\n`)
  }

  /** The same, broken where their terminal ends. */
  remark(line: string): void {
    for (const piece of wrap(line, columnsOf(this.io.stderr))) this.note(piece)
  }

  /** The one JSON object of a command that was asked for `--json`. */
  json(value: unknown): void {
    this.say(terminalSafeJson(value))
  }

  async readStdin(): Promise<Buffer> {
    const chunks: Buffer[] = []
    this.io.stdin.on('data', (chunk: Buffer) => chunks.push(chunk))
    await once(this.io.stdin, 'end')
    return Buffer.concat(chunks)
  }
}

/** Adds its command to the program. An action returns the exit code; what it throws is reported. */
export type AddCommand = (program: Command, cli: Cli) => void
