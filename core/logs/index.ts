export { closeLogFiles, openLogFiles, readAcross } from './log-file.ts'
export { readLog, type LogQuery } from './read-log.ts'
