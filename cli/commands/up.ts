import type { AddCommand } from '../cli.ts'
export const up: AddCommand = () => undefined
