import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  RefreshService,
  ReplicasBehindError,
  type SingleRefreshOptions,
} from '../../../lib/index.js';
import { FaultServer } from '../../support/fault-server.js';
import { Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import { Client } from 'pg';
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

  it('has views whose storage was changed by hand, and leaves it', async () => {
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
  ] as const)('warns about the mode %s', async (mode, count) => {
    await releases.start([{ ...daily, refresh: { mode } }]);
    await releases.module.get(RefreshService).refresh(`Analytics eu.${daily.name}`);
    const warned = releases.warnings.filter((each) => each.startsWith('Readers on standbys wait'));
    expect(warned).toHaveLength(count);
  });

  describe('shows a refresh that waits for them', () => {
    let reader: Client;

    const refresh = async (options: SingleRefreshOptions): Promise<unknown> =>
      releases.get(RefreshService).refresh(`Analytics eu.${daily.name}`, options);
    const countOf = async (client: Pick<Client, 'query'>): Promise<unknown> =>
      (await client.query<{ count: string }>(`SELECT count(*) FROM ${QUOTED}`)).rows;

    beforeAll(async () => {
      await releases.start([daily]);
      const url = new URL(standby.url);
      url.pathname = `/${database.name}`;
      reader = new Client({ connectionString: url.href });
      await reader.connect();
    });

    afterAll(() => reader.end());

    it.each<[string, SingleRefreshOptions]>([
      ['all of them', { waitForReplicas: true }],
      ['those of a name', { waitForReplicas: ['standby'], timeout: '20s' }],
    ])('%s, at once', async (_, options) => {
      for (let round = 0; round < 10; round++) {
        await database.query('INSERT INTO orders SELECT max(id) + 1 FROM orders');
        expect(await refresh(options)).toMatchObject({
          outcome: 'refreshed',
          lsn: expect.any(String),
        });
        expect(await countOf(reader)).toEqual(await countOf(database.client));
      }
    });

    it('or reports within the timeout that they do not, and keeps the refresh', async () => {
      await reader.query('SELECT pg_wal_replay_pause()');
      const before = await countOf(reader);
      await database.query('INSERT INTO orders SELECT max(id) + 1 FROM orders');
      const behind = await refresh({ waitForReplicas: true, timeout: '1s' }).catch(
        (error: unknown) => error,
      );
      expect(behind).toBeInstanceOf(ReplicasBehindError);
      expect(behind).toMatchObject({
        code: 'MV_REPLICAS_BEHIND',
        result: { outcome: 'refreshed' },
        message: expect.stringContaining('in time: standby.'),
      });
      expect(await countOf(reader)).toEqual(before);
      expect(await countOf(database.client)).not.toEqual(before);
      const waiting = refresh({ waitForReplicas: true });
      await reader.query('SELECT pg_wal_replay_resume()');
      await waiting;
      expect(await countOf(reader)).toEqual(await countOf(database.client));
      await expect(refresh({ waitForReplicas: ['nobody'], timeout: '1s' })).rejects.toThrow(
        /nobody/,
      );
    });

    it('once it has replayed as far as the status says', async () => {
      const lsnOf = async (): Promise<string | undefined> =>
        (await releases.get(RefreshService).status(`Analytics eu.${daily.name}`)).lsn;
      const hasReplayed = async (lsn?: string): Promise<boolean | undefined> =>
        (
          await reader.query<{ has: boolean }>(
            'SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS has',
            [lsn],
          )
        ).rows[0]?.has;
      await reader.query('SELECT pg_wal_replay_pause()');
      await database.query('INSERT INTO orders SELECT max(id) + 1 FROM orders');
      await refresh({});
      expect(await hasReplayed(await lsnOf())).toBe(false);
      await reader.query('SELECT pg_wal_replay_resume()');
      for (let round = 0; round < 20; round++) {
        await database.query('INSERT INTO orders SELECT max(id) + 1 FROM orders');
        await refresh({});
        const lsn = await lsnOf();
        while (!(await hasReplayed(lsn))) {
          await reader.query('SELECT pg_sleep(0.001)');
        }
        expect(await countOf(reader)).toEqual(await countOf(database.client));
      }
    });

    it('but not unknown names, and not in a transaction that has not ended', async () => {
      await expect(refresh({ waitForReplicas: [] })).rejects.toThrow(/waitForReplicas/);
      await expect(refresh({ waitForReplicas: false as never })).rejects.toThrow(/waitForReplicas/);
    });
  });
});
