/** `bsm mcp`: the MCP server. */
export { serveMcp } from './server.ts'
