import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { RefreshService, SchemaService } from '../../../lib/index.js';
import { runMigrations } from '../../support/migration-runner.js';
import { Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import type { TestView } from '../../support/view-class.js';

const VIEW = '"Far away"."Daily ""Total"""';
const NAME = 'Far away.Daily "Total"';
const BY_HAND = 'By "hand"';
const INDEX = '"By ""hand"""';

const daily: TestView = {
  name: 'Daily "Total"',
  schema: 'Far away',
  expression: 'SELECT id, amount FROM items',
  key: ['id'],
};
const changed: TestView = { ...daily, expression: 'SELECT id, amount, 1 AS one FROM items' };
const below = (expression: string): TestView => ({ name: 'below', expression });
const onBelow: TestView = { ...daily, expression: 'SELECT id, amount FROM below' };

const HOW_INVALID = {
  'a unique one': `CREATE UNIQUE INDEX CONCURRENTLY ${INDEX} ON ${VIEW} (amount)`,
  'an expression that fails': `CREATE INDEX CONCURRENTLY ${INDEX} ON ${VIEW} ((1 / (id - 1)))`,
  'the rest of a REINDEX': `CREATE UNIQUE INDEX CONCURRENTLY ${INDEX} ON ${VIEW} ((amount / 100))`,
};

describe('an index made by hand', () => {
  let database: TestDatabase;
  let releases: Releases;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    releases = new Releases(database);
    await database.query(`
      DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE;
      CREATE SCHEMA public;
      CREATE TABLE items (id int, amount numeric);
      INSERT INTO items VALUES (1, 10), (2, 20), (3, 20.4)`);
  });

  afterEach(async () => {
    await releases.end();
  });

  afterAll(async () => {
    await database.drop();
  });

  const isThere = async (): Promise<boolean> =>
    (await database.query('SELECT FROM pg_class WHERE relname = $1', [BY_HAND])).length > 0;

  const alter = (schema: SchemaService): Promise<unknown> =>
    schema.alterTable('items', (runner) =>
      runner.query('ALTER TABLE items ALTER amount TYPE numeric(8, 0)'),
    );

  const strategies = ['side-by-side', 'drop-and-create'] as const;

  describe.each(Object.entries(HOW_INVALID))('and that is invalid, %s', (_, create) => {
    async function withInvalid(views: TestView[]): Promise<SchemaService> {
      await database.query('UPDATE items SET amount = 20 WHERE id = 3');
      const schema = await releases.start(views);
      await expect(database.query(create)).rejects.toMatchObject({
        code: expect.stringMatching(/23505|22012/),
      });
      expect(await isThere()).toBe(true);
      return schema;
    }

    it.each(strategies)('is left out of a change, and named, %s', async (rebuildStrategy) => {
      await withInvalid([daily]);
      const schema = await releases.start([changed], { synchronize: false });
      const plan = await schema.plan({ rebuildStrategy });
      expect(plan.steps.map(({ reason }) => reason).join()).toContain(
        `index "${BY_HAND}", made by hand, is not kept: it is invalid`,
      );
      await schema.apply(plan);
      expect(await schema.diff()).toEqual([]);
      expect(await isThere()).toBe(false);
    });

    it.each(strategies)('is left out of a migration and of its down, %s', async (strategy) => {
      await withInvalid([daily]);
      const schema = await releases.start([changed], { synchronize: false });
      const file = await schema.generateMigration({ name: 'Change', rebuildStrategy: strategy });
      await runMigrations(database, file, async (dataSource: DataSource) => {
        await dataSource.runMigrations();
        expect(await schema.diff()).toEqual([]);
        await dataSource.undoLastMigration();
      });
      await (await releases.start([daily])).verify();
    });

    it.each(strategies)(
      'is left out of a migration to another schema, and of its way back, %s',
      async (strategy) => {
        await withInvalid([daily]);
        const moved = { ...changed, schema: 'public', renamedFrom: NAME };
        const schema = await releases.start([moved], { synchronize: false });
        const file = await schema.generateMigration({ name: 'Move', rebuildStrategy: strategy });
        await runMigrations(database, file, async (dataSource: DataSource) => {
          await dataSource.runMigrations();
          expect(await schema.diff()).toEqual([]);
          await dataSource.undoLastMigration();
        });
        await (await releases.start([daily])).verify();
      },
    );

    it('is left out above a changed view', async () => {
      await withInvalid([below('SELECT * FROM items'), onBelow]);
      const schema = await releases.start([below('SELECT * FROM items WHERE id > 0'), onBelow]);
      expect(await schema.diff()).toEqual([]);
    });

    it('is left out of alterTable', async () => {
      const schema = await withInvalid([daily]);
      await alter(schema);
      expect(await schema.diff()).toEqual([]);
    });

    it('is named if a swap would lose it', async () => {
      await withInvalid([daily]);
      await expect(
        releases.get(RefreshService).refresh(NAME, { mode: 'swap' }),
      ).rejects.toMatchObject({
        code: 'MV_SWAP_REFUSED',
        message: expect.stringContaining(`the invalid index "By ""hand"""`),
      });
      expect(await isThere()).toBe(true);
    });
  });

  describe('and that the new rows violate', () => {
    const named = expect.stringContaining(`index "${BY_HAND}" of materialized view "${NAME}"`);

    beforeEach(async () => {
      await releases.start([daily]);
      await database.query(`CREATE UNIQUE INDEX ${INDEX} ON ${VIEW} (amount)`);
    });

    it.each(strategies)('is named by a change, %s', async (rebuildStrategy) => {
      const rounded = { ...daily, expression: 'SELECT id, round(amount) AS amount FROM items' };
      await expect(releases.start([rounded], { rebuildStrategy })).rejects.toMatchObject({
        code: 'MV_SCHEMA_SYNC_FAILED',
        view: NAME,
        message: named,
        cause: { code: '23505' },
      });
      expect(await isThere()).toBe(true);
    });

    it('is named by alterTable', async () => {
      await expect(alter(releases.get(SchemaService))).rejects.toMatchObject({
        code: 'MV_SCHEMA_SYNC_FAILED',
        message: expect.stringContaining(`index "${BY_HAND}" of "${NAME}"`),
      });
    });

    it.each([
      ['swap', true],
      ['blocking', true],
      ['concurrently', true],
      ['concurrently', false],
    ] as const)('is named by a refresh, %s, where it is valid: %p', async (mode, isValid) => {
      // The state after CREATE INDEX CONCURRENTLY failed to validate: an invalid index still rejects rows.
      await database.query(
        `UPDATE pg_index SET indisvalid = $1 WHERE indexrelid = '"Far away".${INDEX}'::regclass`,
        [isValid],
      );
      await database.query('UPDATE items SET amount = 20');
      await expect(releases.get(RefreshService).refresh(NAME, { mode })).rejects.toMatchObject({
        code: 'MV_DUPLICATE_ROWS',
        message: expect.stringContaining(BY_HAND),
      });
    });
  });
});
