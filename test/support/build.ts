import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';

/** The last file that the build writes. */
const BUILT = path.resolve('dist/cjs/package.json');
const SOURCES = path.resolve('lib');

/**
 * Call it before starting a process that runs `dist/`.
 *
 * @throws Error if `dist/` is older than `lib/`
 */
export function requireBuild(): void {
  const builtAtMs = statSync(BUILT, { throwIfNoEntry: false })?.mtimeMs ?? -Infinity;
  const newer = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|json)$/.test(name))
    .find((name) => statSync(path.join(SOURCES, name)).mtimeMs > builtAtMs);
  if (newer !== undefined) {
    throw new Error(`dist/ is older than lib/${newer}. Build it first: npm run build.`);
  }
}
