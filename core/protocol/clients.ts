import * as z from 'zod'
import { Timestamp } from './common.ts'

export const ClientName = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/)

export const ClientInfo = z.object({
  name: z.string(),
  created_at: Timestamp,
  last_seen: Timestamp.nullable(),
})
export type ClientInfo = z.infer<typeof ClientInfo>

/** Who may use `agent.sock`: a person's business only. */
export const ClientsAction = z.discriminatedUnion('do', [
  z.strictObject({ do: z.literal('list') }),
  z.strictObject({ do: z.literal('add'), name: ClientName }),
  z.strictObject({ do: z.literal('revoke'), name: z.string() }),
])
export type ClientsAction = z.infer<typeof ClientsAction>

export const ClientsAnswer = z.object({
  clients: z.array(ClientInfo),
  /** Of the client just added; nothing keeps it, so it is said once. */
  token: z.string().optional(),
})
export type ClientsAnswer = z.infer<typeof ClientsAnswer>
