/** Progress for people: one line when a step begins, one with its time when it ends, and a sign of life between. */

export type Log = (line: string) => void

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`

/** Runs `work` under a name. Its log lines are shown indented; a step that ends at once stays one line. */
export async function step<T>(name: string, work: (log: Log) => Promise<T>): Promise<T> {
  const since = performance.now()
  let announced = false
  const announce = () => {
    if (announced) return
    announced = true
    console.error(`• ${name} …`)
  }
  const soon = setTimeout(announce, 150)
  const alive = setInterval(() => console.error(`  … ${name}: ${seconds(performance.now() - since)}`), 15_000)
  try {
    const result = await work((line) => {
      announce()
      console.error(`  ${line}`)
    })
    console.error(`✓ ${name} (${seconds(performance.now() - since)})`)
    return result
  } catch (error) {
    console.error(`✗ ${name} (${seconds(performance.now() - since)})`)
    throw error
  } finally {
    clearTimeout(soon)
    clearInterval(alive)
  }
}

/** Something a person can mend; shown without a stack. */
export class SetupError extends Error {
  override readonly name = 'SetupError'
}
