import { createRequire, register } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { transformFile } from '@swc/core';

/**
 * `node --import <this file>` runs TypeScript, for the many programs that tests start. `@swc-node/register` loads the
 * TypeScript compiler first, which makes a program take three times as long to start.
 */
if (isMainThread) {
  register(import.meta.url);
}

/** The options by which Jest compiles the tests. */
const [, OPTIONS] = createRequire(import.meta.url)('../../package.json').jest.transform[
  '^.+\\.ts$'
];

/** TypeScript files import each other by the name of the compiled file (`.js`). */
export async function resolve(specifier, context, next) {
  if (specifier.startsWith('.') && context.parentURL?.endsWith('.ts')) {
    return next(specifier, context).catch(() => next(specifier.replace(/\.js$/, '.ts'), context));
  }
  return next(specifier, context);
}

export async function load(url, context, next) {
  if (!url.endsWith('.ts')) {
    return next(url, context);
  }
  const { code } = await transformFile(fileURLToPath(url), { ...OPTIONS, swcrc: false });
  return { format: 'module', source: code, shortCircuit: true };
}
