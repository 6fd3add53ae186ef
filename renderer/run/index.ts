export { RunTool } from './run-tool.tsx'
