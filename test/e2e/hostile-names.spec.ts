import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { DataSource } from 'typeorm';
import { alterTable, RefreshService, SchemaService } from '../../lib/index.js';
import { bootWith } from '../support/test-app.js';
import { TestDatabase } from '../support/test-database.js';
import { setTraps, trappedCount } from '../support/traps.js';
import { viewClass, YEARLY } from '../support/view-class.js';

const Daily = viewClass({
  schema: 'Odd schema',
  name: 'daily "orders"',
  expression: `SELECT id, note FROM public.orders`,
  columns: ['id', 'note'],
  key: ['id'],
  refresh: { cron: YEARLY, on: 'sources', skipUnchanged: true },
});

const Plain = viewClass({
  name: 'plain',
  expression: `SELECT id FROM orders`,
  indexes: [{ name: 'plain_id', keys: ['id'] }],
});

const views = [Daily, Plain];

describe('names in the schema that everybody may create in', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;

  beforeEach(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE TABLE public.orders (id int PRIMARY KEY, note text)`);
    await database.query(`INSERT INTO public.orders VALUES (1, 'one')`);
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
    await database.drop();
  });

  const start = async (): Promise<TestingModule> => {
    app = await bootWith(database, {
      views,
      synchronize: true,
      history: { maxCount: 1 },
      scheduling: true,
      sweepInterval: '1s',
    });
    return app;
  };

  const useAll = async (running: TestingModule): Promise<void> => {
    const refreshes = running.get(RefreshService);
    const schema = running.get(SchemaService);
    for (const mode of ['concurrently', 'blocking', 'swap'] as const) {
      expect(await refreshes.refresh(Daily, { mode })).toMatchObject({ outcome: 'refreshed' });
    }
    const dataSource = running.get(DataSource);
    await dataSource.transaction((manager) => refreshes.refresh(Daily, { manager }));
    await refreshes.refreshAll();
    await refreshes.pause(Daily);
    await refreshes.resume(Daily);
    await refreshes.running();
    await refreshes.cancel(Daily);
    await refreshes.history(Daily);
    expect(await refreshes.status(Daily)).toMatchObject({ isPopulated: true });
    expect(await refreshes.drift(Daily)).toMatchObject({ isDrifted: false });
    await database.query(`INSERT INTO public.orders VALUES (2, 'two')`);
    await database.until(
      `SELECT FROM "Odd schema"."daily ""orders""" WHERE id OPERATOR(pg_catalog.=) 2`,
    );
    expect(await schema.diff()).toEqual([]);
    await schema.verify();
    const runner = dataSource.createQueryRunner();
    await alterTable(runner, 'orders', () =>
      runner.query(`ALTER TABLE public.orders ALTER COLUMN note TYPE pg_catalog.varchar`),
    );
    await runner.release();
    await running.get(SchemaService).clear();
  };

  describe.each([
    ['as PostgreSQL comes', '"$user", public'],
    ['before pg_catalog', 'public, pg_catalog'],
  ])('with the search_path %s', (_, searchPath) => {
    beforeEach(async () => {
      await database.query(`ALTER DATABASE ${database.name} SET search_path = ${searchPath}`);
    });

    it('are not taken for those of PostgreSQL when they are there first', async () => {
      await setTraps(database);
      await useAll(await start());
      expect(await trappedCount(database)).toBe(0);
    });

    it('are not taken for those of PostgreSQL when they come later', async () => {
      const running = await start();
      await setTraps(database);
      await useAll(running);
      expect(await trappedCount(database)).toBe(0);
    });
  });
});
