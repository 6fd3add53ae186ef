import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** On a new machine the largest files start first; the longest have the smallest: the kit, the red team, the slice of the gates. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification) =>
      /(conformance\/conformance(-vz)?|gates\/slice|redteam\/redteam)\.test/.test(moduleId)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{core,client,cli,electron,helper,renderer,build,guest}/**/*.test.{ts,tsx}'],
          testTimeout: 20_000,
        },
      },
      {
        // What boots VMs or opens a browser: two files at a time, since each waits as much as it computes.
        test: {
          name: 'real',
          include: ['test/**/*.test.ts'],
          exclude: ['test/packaging/**'],
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
      {
        // Runs electron-builder, several times; needs no VM.
        test: {
          name: 'packaging',
          include: ['test/packaging/*.test.ts'],
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
})
