import type { Command } from 'commander';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Duration } from '../definition/duration.js';
import type { MaterializedViewsModuleOptions } from '../definition/module.options.js';
import { CommandLineUsageError } from './command-line.errors.js';
import { nearestFile } from './nearest-file.js';

/** The options of every command. */
export interface CommonFlags {
  dataSource?: string;
  json?: boolean;
  verbose?: boolean;
  stateSchema?: string;
  application?: string;
  lockTimeout?: Duration;
  statementTimeout?: Duration;
  onMissingTable?: MaterializedViewsModuleOptions['onMissingTable'];
  unmanagedDependents?: MaterializedViewsModuleOptions['unmanagedDependents'];
  rebuildStrategy?: MaterializedViewsModuleOptions['rebuildStrategy'];
}

/**
 * The options of `MaterializedViewsModule.forRoot` that matter without an application, and the data
 * source's file.
 */
export interface CliSettings {
  /** Absolute. Left out if not given. */
  dataSource?: string;
  module: MaterializedViewsModuleOptions;
}

export function addCommonOptions(command: Command): Command {
  return command
    .optionsGroup('Options of all commands:')
    .option('-d, --data-source <file>', 'file that exports a TypeORM DataSource')
    .option('--json', 'one JSON document on stdout, everything else on stderr')
    .option('--verbose', "the library's log and stack traces")
    .optionsGroup('As in MaterializedViewsModule.forRoot (or "matviews" in package.json):')
    .option('--state-schema <name>', "schema of the library's own tables")
    .option('--application <name>', 'the name of this application')
    .option('--lock-timeout <duration>', 'how long to wait for a lock, such as 5s')
    .option('--statement-timeout <duration>', 'how long one statement may take, such as 1h')
    .option('--on-missing-table <policy>', 'fail or skip')
    .option('--unmanaged-dependents <policy>', 'refuse or rebuild')
    .option('--rebuild-strategy <strategy>', 'side-by-side or drop-and-create');
}

/** Flags override `package.json#matviews`. */
export function readSettings(flags: CommonFlags, workingDirectory: string): CliSettings {
  const file = nearestFile('package.json', workingDirectory);
  const { dataSource, ...configured } = file === undefined ? {} : configuredIn(file);
  const { stateSchema, application, lockTimeout, statementTimeout } = flags;
  const { onMissingTable, unmanagedDependents, rebuildStrategy } = flags;
  const given = { stateSchema, application, lockTimeout, statementTimeout };
  const policies = { onMissingTable, unmanagedDependents, rebuildStrategy };
  return {
    dataSource: dataSourceFile(flags.dataSource, workingDirectory, dataSource, file),
    module: { ...configured, ...defined({ ...given, ...policies }) },
  };
}

function dataSourceFile(
  flag: string | undefined,
  workingDirectory: string,
  configured: string | undefined,
  packageFile = '',
): string | undefined {
  if (flag !== undefined) {
    return path.resolve(workingDirectory, flag);
  }
  return configured === undefined ? undefined : path.resolve(path.dirname(packageFile), configured);
}

function defined(values: MaterializedViewsModuleOptions): MaterializedViewsModuleOptions {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

type Configured = MaterializedViewsModuleOptions & { dataSource?: string };

function configuredIn(packageFile: string): Configured {
  const { matviews = {} } = JSON.parse(readFileSync(packageFile, 'utf8')) as { matviews?: unknown };
  if (typeof matviews !== 'object' || matviews === null || Array.isArray(matviews)) {
    throw new CommandLineUsageError(`Expected "matviews" in ${packageFile} to be an object.`);
  }
  const { dataSource } = matviews as { dataSource?: unknown };
  if (dataSource !== undefined && typeof dataSource !== 'string') {
    throw new CommandLineUsageError(
      `Expected "matviews.dataSource" in ${packageFile} to be the path of a file.`,
    );
  }
  return matviews;
}
