import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ScheduleModule } from '@nestjs/schedule';
import { getDataSourceToken, TypeOrmModule } from '@nestjs/typeorm';
import type { TestingModule } from '@nestjs/testing';
import { type DataSource, PrimaryColumn, ViewColumn } from 'typeorm';
import {
  InvalidDefinitionError,
  MaterializedViewEntity,
  MaterializedViewsModule,
  RefreshService,
  SchemaService,
} from '../../../lib/index.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';

type ViewClass = new () => { id: number; total: number };

/** Loading a module again creates a new class. */
function load(name: string, total: number, className = 'DailyTotal', column = 'total'): ViewClass {
  class Loaded {
    @PrimaryColumn() id!: number;
    @ViewColumn({ name: column }) total!: number;
  }
  Object.defineProperty(Loaded, 'name', { value: className });
  const expression = `SELECT 1 AS id, ${total} AS ${column}`;
  MaterializedViewEntity({ name, schema: 'Hot "reload"', expression })(Loaded);
  return Loaded;
}

describe('hot reload, with autoLoadEntities', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let name: string;

  beforeEach(async () => {
    database = await TestDatabase.create();
    // autoLoadEntities finds the entities of all applications of this process, so names must differ.
    name = `Daily "Total" of ${database.name}`.slice(0, 60);
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
    await database.drop();
  });

  /** Closes the previous application and boots anew, as in Nest's recipe. */
  async function reload(...imports: Parameters<typeof boot>): Promise<TestingModule> {
    await app?.close();
    app = undefined;
    app = await boot(
      typeOrm(database, { name: database.name }),
      ScheduleModule.forRoot(),
      ...imports,
    );
    return app;
  }

  const registering = (...views: ViewClass[]): Parameters<typeof boot>[0] =>
    MaterializedViewsModule.forRoot({ views, dataSource: database.name, scheduling: false });

  async function totalOf(view: ViewClass): Promise<number[]> {
    const dataSource = app?.get<DataSource>(getDataSourceToken(database.name));
    const rows = (await dataSource?.getRepository(view).find()) ?? [];
    return rows.map(({ total }) => total);
  }

  it.each([
    ['an edited class', 'DailyTotal', 'total'],
    ['a class with another column', 'DailyTotal', 'sum'],
    ['a renamed class', 'RenamedTotal', 'total'],
  ])('replaces the previous class by %s', async (_, className, column) => {
    const first = load(name, 1);
    await reload(registering(first));
    expect(await totalOf(first)).toEqual([1]);
    for (const total of [2, 3]) {
      const next = load(name, total, className, column);
      const booted = await reload(registering(next));
      const options = { dataSource: database.name };
      expect(booted.get(SchemaService).registered(options)).toEqual([`Hot "reload".${name}`]);
      expect(await booted.get(RefreshService).refresh(next)).toMatchObject({
        outcome: 'refreshed',
      });
      expect(await totalOf(next)).toEqual([total]);
    }
  });

  it('uses the newer one even if both are only entities', async () => {
    for (const total of [1, 2]) {
      const view = load(name, total);
      await reload(TypeOrmModule.forFeature([view], database.name), registering());
      expect(await totalOf(view)).toEqual([total]);
    }
  });

  it('refuses two classes that are both registered, whatever they are called', async () => {
    for (const className of ['DailyTotal', 'OtherTotal']) {
      const views = [load(name, 1), load(name, 2, className)];
      await expect(reload(registering(...views))).rejects.toThrow(InvalidDefinitionError);
      await expect(reload(registering(...views.reverse()))).rejects.toThrow(/to be unique/);
    }
  });
});
