import { createRequire, register } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { DataSourceFileError } from './command-line.errors.js';
import { nearestFile } from './nearest-file.js';

export type ModuleKind = 'esm' | 'cjs';

interface TypeScriptLoader {
  /** What is resolved to see whether it is installed. */
  entry: string;
  load(file: string, kind: ModuleKind): void | Promise<void>;
  /** What is said of it before it loads anything. */
  warning?: string;
  /** Whether it makes ES modules of the files of a CommonJS project too. */
  makesEsm?: true;
}

/** How to load a file of TypeScript. */
export interface Loading {
  kind: ModuleKind;
  /** What to do if that fails. */
  hint?: string;
}

const INSTALL =
  'Install a loader (`npm install --save-dev @swc-node/register @swc/core`), or name the compiled file, as in `-d dist/data-source.js`.';

const SWC_NODE: TypeScriptLoader = {
  entry: '@swc-node/register',
  load: (file, kind) => {
    if (kind === 'esm') {
      register('@swc-node/register/esm', pathToFileURL(file));
    } else {
      createRequire(file)('@swc-node/register');
    }
  },
};

const OXC_NODE: TypeScriptLoader = {
  entry: '@oxc-node/core',
  load: async (file) => {
    const directory = path.dirname(createRequire(file).resolve('@oxc-node/core'));
    await import(pathToFileURL(path.join(directory, 'register.mjs')).href);
  },
  makesEsm: true,
};

const TS_NODE: TypeScriptLoader = {
  entry: 'ts-node',
  load: (file, kind) => {
    process.env.TS_NODE_TRANSPILE_ONLY ??= 'true';
    const { resolve } = createRequire(file);
    if (kind === 'esm') {
      const data = pathToFileURL(resolve('ts-node/esm')).href;
      register('./ts-node.hooks.js', import.meta.url, { data });
    } else {
      createRequire(file)('ts-node/register');
    }
  },
};

const TSX: TypeScriptLoader = {
  entry: 'tsx/cjs/api',
  load: async (file, kind) => {
    const { resolve } = createRequire(file);
    // Its hooks for ES modules are found from an ES module alone.
    await import(pathToFileURL(resolve(kind === 'esm' ? 'tsx/esm' : 'tsx/cjs')).href);
  },
  warning:
    'tsx emits no column types for entities. Give each column its type, as in `@Column("text")`, or install @swc-node/register and @swc/core.',
};

/** In the order in which they are preferred. */
const LOADERS: Record<ModuleKind, readonly TypeScriptLoader[]> = {
  esm: [SWC_NODE, OXC_NODE, TS_NODE, TSX],
  // oxc-node comes last: ES modules have no `__dirname`.
  cjs: [SWC_NODE, TS_NODE, TSX, OXC_NODE],
};

/** By their names on a command line of Node, as in `--import tsx`. */
const ACTIVE = /swc-node|swc\/register|oxc-node|ts-node|tsx|tsimp|esbuild-register/;

/**
 * Makes Node load TypeScript with the project's own tool.
 *
 * @throws DataSourceFileError when it has nothing
 */
export async function loadTypeScriptLoader(
  file: string,
  kind: ModuleKind,
  warn: (text: string) => void,
): Promise<Loading> {
  const preloads = preloadsOfNode();
  if (ACTIVE.test(preloads)) {
    return { kind };
  }
  const loader = LOADERS[kind].find(({ entry }) => isInstalled(entry, file));
  if (loader === undefined && preloads !== '') {
    // One of these may be a loader that the user has written.
    return { kind, hint: INSTALL };
  }
  if (loader === undefined) {
    throw new DataSourceFileError(`${file} is TypeScript, which Node cannot load here.`, {
      hint: INSTALL,
    });
  }
  if (loader.warning !== undefined) {
    warn(loader.warning);
  }
  useConfigurationOf(file);
  await loader.load(file, kind);
  return loader.makesEsm && kind === 'cjs'
    ? {
        kind: 'esm',
        hint: `${loader.entry} makes ES modules of the files of a CommonJS project. ${INSTALL}`,
      }
    : { kind };
}

/** Loaders look for it in the working directory otherwise. */
function useConfigurationOf(file: string): void {
  const configuration = nearestFile('tsconfig.json', path.dirname(file));
  if (configuration !== undefined) {
    process.env.TS_NODE_PROJECT ??= configuration;
    process.env.TSX_TSCONFIG_PATH ??= configuration;
  }
}

/** What Node was told to load before the command, such as a loader of the user's choice. */
function preloadsOfNode(): string {
  const given = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ');
  return [
    ...given.matchAll(/(?<!\S)(?:--import|--loader|--experimental-loader|--require|-r)[= ]\s*\S+/g),
  ].join(' ');
}

function isInstalled(entry: string, file: string): boolean {
  try {
    createRequire(file).resolve(entry);
    return true;
  } catch {
    return false;
  }
}
