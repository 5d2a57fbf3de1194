import { describe, expect, it } from '@jest/globals';
import {
  addModules,
  materializedViewsModule,
  SCHEDULE_MODULE,
} from '../../../lib/schematics/nest-module-edit.js';

const MODULE = `import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres' }),
  ],
})
export class AppModule {}
`;

const MODULES = [SCHEDULE_MODULE, materializedViewsModule('')];

describe('addModules', () => {
  it('adds both modules with their imports, and keeps the rest', () => {
    expect(addModules(MODULE, MODULES)?.written).toBe(`import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ScheduleModule } from '@nestjs/schedule';
import { MaterializedViewsModule } from 'nestjs-materialized-views';

@Module({
  imports: [
    ScheduleModule.forRoot(),
    MaterializedViewsModule.forRoot({ views: [] }),
    TypeOrmModule.forRoot({ type: 'postgres' }),
  ],
})
export class AppModule {}
`);
  });

  it('adds nothing twice', () => {
    expect(addModules(addModules(MODULE, MODULES)?.written ?? '', MODULES)).toBeUndefined();
  });

  it('stays on one line if the module does', () => {
    const short = `import { Module } from '@nestjs/common';\n@Module({ imports: [] })\nclass A {}\n`;
    expect(addModules(short, MODULES)?.written).toContain(
      'imports: [ScheduleModule.forRoot(), MaterializedViewsModule.forRoot({ views: [] })]',
    );
  });

  it('only says what to add if several places are possible', () => {
    const edit = addModules(`${MODULE}${MODULE}`, MODULES);
    expect(edit?.written).toBeUndefined();
    expect(edit?.text).toContain('MaterializedViewsModule.forRoot');
  });

  it('takes nothing in a comment for code', () => {
    const commented = MODULE.replace(
      '@Module(',
      '// Once: imports: [MaterializedViewsModule]\n@Module(',
    );
    expect(addModules(commented, MODULES)?.written).toContain(`imports: [
    ScheduleModule.forRoot(),
    MaterializedViewsModule.forRoot({ views: [] }),
    TypeOrmModule`);
    const without = commented.replace(/  imports: \[[^]*?\],\n/, '');
    expect(addModules(without, MODULES)?.text).toContain('MaterializedViewsModule.forRoot');
    expect(addModules(without, MODULES)?.written).toBeUndefined();
    const url = MODULE.replace(`'postgres'`, `'postgres', url: 'postgres://db'`);
    expect(addModules(url, MODULES)?.written).toContain(`url: 'postgres://db' }),\n  ],`);
  });

  it('only says what to add if another module of the file has the imports', () => {
    const two = `${MODULE}\n@Module({ providers: [] })\nexport class Root {}\n`;
    expect(addModules(two, MODULES)?.text).toContain('MaterializedViewsModule.forRoot');
    expect(addModules(two, MODULES)?.written).toBeUndefined();
  });

  it('ends lines as the file does', () => {
    const written = addModules(MODULE, MODULES)?.written ?? '';
    expect(addModules(MODULE.replaceAll('\n', '\r\n'), MODULES)?.written).toBe(
      written.replaceAll('\n', '\r\n'),
    );
  });
});
