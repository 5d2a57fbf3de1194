import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { DataSource } from 'typeorm';
import { messageOf } from '../errors/error-message.js';
import { DataSourceFileError } from './command-line.errors.js';
import { nearestFile } from './nearest-file.js';
import { type Loading, loadTypeScriptLoader, type ModuleKind } from './typescript.loader.js';

/**
 * Loads the file as TypeORM's own command line does: it must export one data source, or a promise of one.
 *
 * @throws DataSourceFileError
 */
export async function loadDataSource(
  file: string,
  warn: (text: string) => void,
): Promise<DataSource> {
  if (!existsSync(file)) {
    throw new DataSourceFileError(`There is no file ${file}.`, {
      hint: 'Name the file that exports your TypeORM DataSource with -d.',
    });
  }
  const kind = moduleKind(file);
  const isTypeScript = /\.[cm]?tsx?$/.test(file);
  const loading = isTypeScript ? await loadTypeScriptLoader(file, kind, warn) : { kind };
  return onlyDataSource(file, await load(file, loading));
}

/** What it exports, all together and one by one. */
async function load(file: string, { kind, hint }: Loading): Promise<unknown[]> {
  try {
    const exported = (
      kind === 'esm' ? await import(pathToFileURL(file).href) : await createRequire(file)(file)
    ) as unknown;
    const values = typeof exported === 'object' && exported !== null ? exported : {};
    return await Promise.all([exported, ...(Object.values(values) as unknown[])]);
  } catch (cause) {
    throw new DataSourceFileError(`${file} cannot be loaded: ${messageOf(cause)}`, { cause, hint });
  }
}

function moduleKind(file: string): ModuleKind {
  const extension = path.extname(file);
  if (extension === '.mjs' || extension === '.mts') {
    return 'esm';
  }
  if (extension === '.cjs' || extension === '.cts') {
    return 'cjs';
  }
  const packageFile = nearestFile('package.json', path.dirname(file));
  const { type } =
    packageFile === undefined
      ? {}
      : (JSON.parse(readFileSync(packageFile, 'utf8')) as { type?: string });
  return type === 'module' ? 'esm' : 'cjs';
}

function onlyDataSource(file: string, exported: unknown[]): DataSource {
  const found = new Set(exported.filter(isDataSource));
  const [dataSource, ...others] = found;
  if (dataSource === undefined || others.length > 0) {
    throw new DataSourceFileError(
      `Expected ${file} to export one TypeORM DataSource, got ${found.size === 0 ? 'none' : found.size}.`,
      { hint: 'As in `export default new DataSource({ ... })`.' },
    );
  }
  return dataSource;
}

/** TypeORM's own mark, because its package may be loaded twice. */
function isDataSource(value: unknown): value is DataSource {
  const mark = (value as Record<PropertyKey, unknown> | null | undefined)?.['@instanceof'];
  return mark === Symbol.for('DataSource');
}
