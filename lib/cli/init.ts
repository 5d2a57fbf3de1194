import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  addModules,
  materializedViewsModule,
  SCHEDULE_MODULE,
} from '../schematics/nest-module-edit.js';
import { missingPackages, type NestManifest } from '../schematics/nest-packages.js';
import type { CommandResult } from './cli-command.js';
import { CommandLineUsageError } from './command-line.errors.js';

const MODULE_FILES = inEitherLanguage('src/app.module', 'app.module', 'src/app/app.module');

const DATA_SOURCE_FILES = inEitherLanguage(
  'src/data-source',
  'src/database/data-source',
  'src/db/data-source',
  'src/config/data-source',
  'data-source',
  'src/ormconfig',
  'ormconfig',
);

interface Manifest extends NestManifest {
  matviews?: { dataSource?: string };
}

/** One thing to add. */
interface Addition {
  /** The file that it concerns; left out for a command. */
  file?: string;
  what: string;
  /** The text to add, or the command. */
  text: string;
  /** The whole file with it, if it can be written. */
  written?: string;
}

/**
 * Looks at a Nest application and says what to add for materialized views.
 *
 * @param folder the folder with its package.json
 * @param writes whether to edit the files that can be edited; packages are never installed
 */
export function init(folder: string, writes: boolean): CommandResult {
  const { manifest, source } = readManifest(folder);
  const additions = [
    ...packages(manifest),
    ...moduleImports(folder),
    ...dataSourceSetting(folder, manifest, source),
    ...shutdownHooks(folder),
  ];
  const written = writes ? additions.filter((each) => write(folder, each)) : [];
  const left = additions.filter((each) => !written.includes(each));
  return {
    text: [
      ...written.map(({ file, what }) => `added to ${file}: ${what}`),
      ...left.map(({ file, what, text }) => `${file ?? 'run'}: ${what}\n${indented(text)}`),
      ...(additions.length === 0 ? ['Nothing to add.'] : []),
    ].join('\n\n'),
    json: {
      written: written.map(({ file, what }) => ({ file, what })),
      left: left.map(({ file, what, text }) => ({ file, what, text })),
    },
  };
}

function readManifest(folder: string): { manifest: Manifest; source: string } {
  try {
    const source = readFileSync(path.join(folder, 'package.json'), 'utf8');
    return { manifest: JSON.parse(source) as Manifest, source };
  } catch (cause) {
    throw new CommandLineUsageError(`There is no package.json that can be read in ${folder}.`, {
      hint: `Run it in the folder of the application. (${(cause as Error).message})`,
    });
  }
}

function packages(manifest: Manifest): Addition[] {
  const missing = missingPackages(manifest);
  if (missing === undefined) {
    throw new CommandLineUsageError(
      'This is not a Nest application: package.json has no @nestjs/core.',
      {
        hint: 'Without Nest a DataSource file is all that the command line needs: --data-source.',
      },
    );
  }
  return missing.length === 0
    ? []
    : [{ what: 'packages that are missing', text: `npm install ${missing.join(' ')}` }];
}

function moduleImports(folder: string): Addition[] {
  const file = MODULE_FILES.find((each) => existsSync(path.join(folder, each)));
  if (file === undefined) {
    const text = 'MaterializedViewsModule.forRoot({ views: [] })';
    return [{ what: `in the imports of the module with TypeOrmModule.forRoot`, text }];
  }
  const edit = addModules(readFileSync(path.join(folder, file), 'utf8'), [
    SCHEDULE_MODULE,
    materializedViewsModule(''),
  ]);
  return edit === undefined
    ? []
    : [{ file, what: 'the module, with its views', text: edit.text, written: edit.written }];
}

function dataSourceSetting(folder: string, manifest: Manifest, source: string): Addition[] {
  if (manifest.matviews?.dataSource !== undefined) {
    return [];
  }
  const found = DATA_SOURCE_FILES.find((each) => existsSync(path.join(folder, each)));
  const dataSource = found ?? 'src/data-source.ts';
  const what =
    found === undefined
      ? 'the file that exports the TypeORM DataSource, for the command line (make it first)'
      : 'the file that exports the TypeORM DataSource, for the command line';
  const changed = { ...manifest, matviews: { ...manifest.matviews, dataSource } };
  const indent = /^([ \t]+)"/m.exec(source)?.[1] ?? '  ';
  return [
    {
      file: 'package.json',
      what,
      text: `"matviews": { "dataSource": ${JSON.stringify(dataSource)} }`,
      written: found && `${JSON.stringify(changed, undefined, indent)}\n`,
    },
  ];
}

function shutdownHooks(folder: string): Addition[] {
  const file = inEitherLanguage('src/main').find((each) => existsSync(path.join(folder, each)));
  if (
    file === undefined ||
    readFileSync(path.join(folder, file), 'utf8').includes('enableShutdownHooks')
  ) {
    return [];
  }
  const what = 'so that a stopping process ends its refreshes cleanly, before app.listen';
  return [{ file, what, text: 'app.enableShutdownHooks();' }];
}

function inEitherLanguage(...files: string[]): string[] {
  return files.flatMap((file) => [`${file}.ts`, `${file}.js`]);
}

function write(folder: string, { file, written }: Addition): boolean {
  if (file === undefined || written === undefined) {
    return false;
  }
  writeFileSync(path.join(folder, file), written);
  return true;
}

function indented(text: string): string {
  return text.replaceAll(/^/gm, '  ');
}
