import { closeSync, constants, fstatSync, openSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import pino, { type Logger } from 'pino'
import { removeFile } from './files.ts'

export type { Logger } from 'pino'

interface LogOptions {
  /** `stateDir/logs`; nothing is kept without it. */
  readonly directory?: string
  /** Where people read; nothing is shown without it. */
  readonly people?: { write(text: string): unknown }
  /** Hears that the file has a line more. */
  readonly onLine?: () => void
}

const MAX_BYTES = 2 * 1024 * 1024
const KEPT_FILES = 3
const CONSOLE_FILES = 1
const CONSOLE_LINE = 4_096

export function createLogger({ directory, people, onLine }: LogOptions): Logger {
  const streams: pino.StreamEntry[] = []
  if (directory !== undefined)
    streams.push({ level: 'debug', stream: new RotatingFile(directory, 'app', KEPT_FILES, onLine) })
  if (people !== undefined)
    streams.push({ level: 'info', stream: { write: (line: string) => void people.write(forPeople(line)) } })
  const options: pino.LoggerOptions = {
    level: streams.length === 0 ? 'silent' : 'debug',
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
  }
  return pino(options, pino.multistream(streams))
}

/** The guest's console, in files of its own, at most 4 MiB: however much it says, the app's own log stays. */
export class ConsoleLog {
  readonly #file: RotatingFile

  constructor(directory: string, onLine?: () => void) {
    this.#file = new RotatingFile(directory, 'console', CONSOLE_FILES, onLine)
  }

  write(now: Date, line: string): void {
    this.#file.write(`${now.toISOString()} ${escapeControl(line.slice(0, CONSOLE_LINE))}\n`)
  }

  close(): void {
    this.#file.close()
  }
}

/** `app.log`, and up to three older ones: at most 8 MiB however long the app runs. */
class RotatingFile {
  readonly #path: string
  readonly #kept: number
  readonly #onLine: () => void
  #fd: number
  #size: number

  constructor(directory: string, name: string, kept: number, onLine: () => void = () => undefined) {
    this.#path = join(directory, `${name}.log`)
    this.#kept = kept
    this.#onLine = onLine
    this.#fd = openAppend(this.#path)
    this.#size = fstatSync(this.#fd).size
  }

  /** A log that cannot be written must not stop what it tells about. */
  write(line: string): void {
    try {
      if (this.#size > MAX_BYTES) this.#rotate()
      this.#size += writeSync(this.#fd, line)
      this.#onLine()
    } catch {
      // Nowhere left to say so.
    }
  }

  close(): void {
    closeSync(this.#fd)
  }

  #rotate(): void {
    removeFile(`${this.#path}.${this.#kept}`)
    for (let n = this.#kept - 1; n >= 1; n -= 1) renameIfThere(`${this.#path}.${n}`, `${this.#path}.${n + 1}`)
    renameIfThere(this.#path, `${this.#path}.1`)
    const old = this.#fd
    this.#fd = openAppend(this.#path)
    this.#size = 0
    closeSync(old)
  }
}

const openAppend = (path: string): number =>
  openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch {
    // Not there yet.
  }
}

/** One line for a terminal. Guest text may be in it, so whatever a terminal would obey is escaped. */
function forPeople(line: string): string {
  const { time, level, msg } = JSON.parse(line) as { time: string; level: number; msg?: string }
  const name = pino.levels.labels[level] ?? 'info'
  const said = level >= 40 ? `${name}: ${msg ?? ''}` : (msg ?? '')
  return `${time.slice(11, 19)} ${escapeControl(said)}\n`
}

/** C0, C1, and the marks that turn the direction of text. */
export const escapeControl = (text: string): string =>
  text.replace(
    /[\p{Cc}\p{Bidi_Control}]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
