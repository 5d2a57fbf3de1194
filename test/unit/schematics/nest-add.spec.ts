import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { nestAdd, type FileTree } from '../../../lib/schematics/nest-add.js';

class VirtualTree implements FileTree {
  constructor(readonly files: Record<string, string>) {}
  exists = (name: string): boolean => name in this.files;
  read = (name: string): string | null => this.files[name] ?? null;
  create = (name: string, content: string): void => void (this.files[name] = content);
  overwrite = this.create;
  getDir = (folder: string) => ({
    visit: (visitor: (file: string) => void): void =>
      Object.keys(this.files)
        .filter((name) => name.startsWith(`${folder}/`))
        .forEach(visitor),
  });
}

/** The root module that `nest new` writes. Nest 12 uses ES modules, Nest 11 does not. */
function rootModule(extension: string): string {
  return `import { Module } from '@nestjs/common';
import { AppController } from './app.controller${extension}';
import { AppService } from './app.service${extension}';

@Module({
  imports: [],
  controllers: [AppController],
  providers: [AppService],
})
export class AppModule {}
`;
}

function add(files: Record<string, string>): { files: Record<string, string>; log: string[] } {
  const log: string[] = [];
  const logger = { info: (text: string) => log.push(text), warn: (text: string) => log.push(text) };
  nestAdd()(new VirtualTree(files), { logger });
  return { files, log };
}

function syntaxErrors(text = ''): string[] {
  const options = { reportDiagnostics: true, compilerOptions: { experimentalDecorators: true } };
  const { diagnostics = [] } = ts.transpileModule(text, options);
  return diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

describe('nest add', () => {
  it.each([
    ['Nest 12, ES modules', '^12.0.1', 'module', '.js'],
    ['Nest 11, CommonJS', '^11.0.1', undefined, ''],
  ])('registers the module and a first view: %s', (_, nest, type, extension) => {
    const { files, log } = add({
      'package.json': JSON.stringify({ type, dependencies: { '@nestjs/core': nest, pg: '^8' } }),
      'src/app.module.ts': rootModule(extension),
    });
    const text = files['src/app.module.ts'] ?? '';
    expect(text).toContain(
      `imports: [TypeOrmModule.forRoot({ type: 'postgres', url: process.env.DATABASE_URL, autoLoadEntities: true }), ScheduleModule.forRoot(), MaterializedViewsModule.forRoot({ views: [RelationCount] })],`,
    );
    expect(text).toContain(`from './relation-count.view${extension}'`);
    expect(syntaxErrors(text)).toEqual([]);
    expect(syntaxErrors(files['src/relation-count.view.ts'])).toEqual([]);
    const major = extension === '' ? { nest: 11, schedule: 6 } : { nest: 12, schedule: 12 };
    expect(log).toEqual([
      `Install what is missing: npm install nestjs-materialized-views @nestjs/schedule@${major.schedule} @nestjs/typeorm@${major.nest} typeorm@1`,
      expect.stringContaining('Set DATABASE_URL'),
    ]);
  });

  it('keeps existing imports, and changes nothing the second time', () => {
    const { files, log } = add({
      'src/app.module.ts': `import { TypeOrmModule } from '@nestjs/typeorm';
import { ScheduleModule } from '@nestjs/schedule';
@Module({
  imports: [
    TypeOrmModule.forRoot({}),
    ScheduleModule.forRoot(),
  ],
})
export class AppModule {}`,
    });
    const text = files['src/app.module.ts'];
    expect(text).toContain(`  imports: [
    MaterializedViewsModule.forRoot({ views: [RelationCount] }),
    TypeOrmModule.forRoot({}),
    ScheduleModule.forRoot(),
  ],`);
    expect(log).toEqual([]);
    expect(add(files).log).toEqual([expect.stringContaining('already')]);
    expect(files['src/app.module.ts']).toBe(text);
  });

  it('adds no connection if another module has one', () => {
    const { files, log } = add({
      'src/app.module.ts': rootModule(''),
      'src/database/database.module.ts': 'imports: [TypeOrmModule.forRootAsync({})]',
    });
    expect(files['src/app.module.ts']).not.toContain('TypeOrm');
    expect(log).toEqual([]);
  });

  it('changes nothing if the root module is written differently', () => {
    const { files, log } = add({
      'src/app.module.ts': '@Module(options) export class AppModule {}',
    });
    expect(Object.keys(files)).toEqual(['src/app.module.ts']);
    expect(log).toEqual([expect.stringContaining('Nothing was changed')]);
  });

  it('is where package.json says', () => {
    const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as { schematics: string };
    const collection = JSON.parse(readFileSync(manifest.schematics, 'utf8')) as {
      schematics: Record<string, { factory: string }>;
    };
    const [file = '', name] = collection.schematics['nest-add']?.factory.split('#') ?? [];
    expect(name).toBe(nestAdd.name);
    const source = path.join(path.dirname(manifest.schematics), file);
    expect(source).toBe(path.normalize('dist/cjs/schematics/nest-add.js'));
    expect(existsSync('lib/schematics/nest-add.ts')).toBe(true);
  });
});
