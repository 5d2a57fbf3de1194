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
});
