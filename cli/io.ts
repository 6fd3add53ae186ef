import type { Readable } from 'node:stream'

export type Out = {
  write(text: string | Uint8Array): unknown
  isTTY?: boolean | undefined
  /** Of a terminal. */
  columns?: number | undefined
}

/** What a command has of the world; in the program the process itself, in tests what they look at. */
export type Io = {
  stdin: Readable & { isTTY?: boolean | undefined }
  stdout: Out
  stderr: Out
  env: NodeJS.ProcessEnv
}
