import { createRequire, register } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { DataSourceFileError } from './command-line.errors.js';

export type ModuleKind = 'esm' | 'cjs';

interface TypeScriptLoader {
  name: string;
  /** The module to resolve, to find out whether it is installed. */
  entry: string;
  load(file: string, kind: ModuleKind): void | Promise<void>;
  /** Whether CommonJS files must be imported too: what it compiles can't be required. */
  isImported?: true;
}

/** In order of preference. */
const LOADERS: readonly TypeScriptLoader[] = [
  {
    name: '@swc-node/register',
    entry: '@swc-node/register',
    load: (file, kind) => {
      if (kind === 'esm') {
        register('@swc-node/register/esm', pathToFileURL(file));
      } else {
        createRequire(file)('@swc-node/register');
      }
    },
  },
  {
    name: '@oxc-node/core',
    entry: '@oxc-node/core',
    load: async (file) => {
      const directory = path.dirname(createRequire(file).resolve('@oxc-node/core'));
      await import(pathToFileURL(path.join(directory, 'register.mjs')).href);
    },
    isImported: true,
  },
  {
    name: 'ts-node',
    entry: 'ts-node',
    load: (file, kind) => {
      process.env.TS_NODE_TRANSPILE_ONLY ??= 'true';
      if (kind === 'esm') {
        register('ts-node/esm', pathToFileURL(file));
      } else {
        createRequire(file)('ts-node/register');
      }
    },
  },
  {
    name: 'tsx',
    entry: 'tsx/cjs/api',
    load: async (file, kind) => {
      const { resolve } = createRequire(file);
      // Its hooks for ES modules can only be resolved from an ES module.
      await import(pathToFileURL(resolve(kind === 'esm' ? 'tsx/esm' : 'tsx/cjs')).href);
    },
  },
];

/**
 * Makes Node load TypeScript with the project's own tool.
 *
 * @returns how to load the file then
 * @throws DataSourceFileError if the project has none
 */
export async function loadTypeScriptLoader(
  file: string,
  kind: ModuleKind,
  warn: (text: string) => void,
): Promise<ModuleKind> {
  if (isLoaderActive()) {
    return kind;
  }
  const loader = LOADERS.find(({ entry }) => isInstalled(entry, file));
  if (loader === undefined) {
    throw new DataSourceFileError(`${file} is TypeScript, which Node cannot load here.`, {
      hint: 'Install a loader (`npm install --save-dev @swc-node/register @swc/core`), or name the compiled file, as in `-d dist/data-source.js`.',
    });
  }
  if (loader.name === 'tsx') {
    warn(
      'tsx emits no column types for entities. Give each column its type, as in `@Column("text")`, or install @swc-node/register and @swc/core.',
    );
  }
  await loader.load(file, kind);
  return loader.isImported ? 'esm' : kind;
}

/** If the user has chosen one. */
function isLoaderActive(): boolean {
  const given = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ');
  return /(^|\s)(--import|--loader|--experimental-loader|--require|-r)\b/.test(given);
}

function isInstalled(entry: string, file: string): boolean {
  try {
    createRequire(file).resolve(entry);
    return true;
  } catch {
    return false;
  }
}
