import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['{core,client,cli,helper,renderer,build,guest}/**/*.test.{ts,tsx}'],
          testTimeout: 20_000,
        },
      },
      {
        // What boots VMs or opens a browser: two files at a time, each of which waits for its VM half of its time.
        test: {
          name: 'real',
          include: ['test/**/*.test.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
})
