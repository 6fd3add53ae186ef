import { runCli } from './run.ts'

// A reader who has seen enough (`bsm … | head`) ends us as SIGPIPE would; the app cancels what we leave behind.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(141)
  throw error
})
// Who read progress has gone (their terminal was closed): there is nobody to tell, and work goes on.
process.stderr.on('error', () => undefined)

process.exitCode = await runCli(process.argv.slice(2), process)
// Nothing should hold the process any more; a handle that does must not hold the person as well.
setTimeout(() => process.exit(), 2_000).unref()
