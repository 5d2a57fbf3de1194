import { defineConfig } from 'vitest/config';

/** The same tests as with jest. */
export default defineConfig({
  resolve: { alias: { '@jest/globals': 'vitest' } },
  test: { include: ['test/**/*.spec.ts'], globals: true, testTimeout: 60_000 },
});
