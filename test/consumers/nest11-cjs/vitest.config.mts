import { defineConfig } from 'vitest/config';

/** Runs the same tests as Jest. */
export default defineConfig({
  resolve: { alias: { '@jest/globals': 'vitest' } },
  test: { include: ['test/**/*.spec.ts'], globals: true, testTimeout: 60_000 },
});
