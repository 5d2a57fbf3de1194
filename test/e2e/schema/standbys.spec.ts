import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RefreshService } from '../../../lib/index.js';
import { FaultServer } from '../../support/fault-server.js';
import { Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import type { TestView } from '../../support/view-class.js';

const daily: TestView = {
  name: 'daily "Orders"',
  schema: 'Analytics eu',
  expression: 'SELECT id FROM public.orders',
  key: ['id'],
};

const QUOTED = `"Analytics eu"."daily ""Orders"""`;

describe('a primary whose standbys serve reads', () => {
  let primary: FaultServer;
  let standby: FaultServer;
  let database: TestDatabase;
  let releases: Releases;

  beforeAll(async () => {
    primary = await FaultServer.start();
    standby = await primary.startStandby();
    database = await TestDatabase.create(primary.url);
    await database.query('CREATE TABLE orders AS SELECT id FROM generate_series(1, 10000) AS id');
    await database.until('SELECT FROM pg_stat_replication');
    releases = new Releases(database);
  });

  afterAll(async () => {
    await releases.end();
    await database.drop();
    await standby.stop();
    await primary.stop();
  });

  const storage = async (): Promise<unknown> => {
    const [row] = await database.query(
      `SELECT array_to_string(reloptions, ' ') AS storage FROM pg_class WHERE oid = $1::regclass`,
      [QUOTED],
    );
    return row?.storage;
  };

  it.each([
    ['', undefined, 'vacuum_truncate=false'],
    [' beside those that are declared', { fillfactor: 80 }, 'vacuum_truncate=false fillfactor=80'],
    [' unless it is declared', { vacuum_truncate: true }, 'vacuum_truncate=true'],
  ])('has views that VACUUM does not lock%s', async (_, declared, expected) => {
    await database.query(`DROP MATERIALIZED VIEW IF EXISTS ${QUOTED}`);
    const schema = await releases.start([{ ...daily, storage: declared }]);
    expect(await storage()).toBe(expected);
    expect(await schema.diff()).toEqual([]);
  });

  it('has views whose storage was changed by hand, and is left like that', async () => {
    await database.query(`DROP MATERIALIZED VIEW IF EXISTS ${QUOTED}`);
    const schema = await releases.start([daily]);
    await database.query(`ALTER MATERIALIZED VIEW ${QUOTED} RESET (vacuum_truncate)`);
    expect(await schema.diff()).toEqual([]);
    await releases.start([{ ...daily, expression: `${daily.expression} WHERE id > 0` }]);
    expect(await storage()).toBeNull();
  });

  it.each([
    ['swap', 1],
    ['blocking', 1],
    ['concurrently', 0],
  ] as const)('warns of the mode %s', async (mode, count) => {
    await releases.start([{ ...daily, refresh: { mode } }]);
    await releases.module.get(RefreshService).refresh(`Analytics eu.${daily.name}`);
    const warned = releases.warnings.filter((each) => each.startsWith('Readers on standbys wait'));
    expect(warned).toHaveLength(count);
  });
});
