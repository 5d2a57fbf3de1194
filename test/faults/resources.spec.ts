import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  jest,
} from '@jest/globals';
import { ConsoleLogger } from '@nestjs/common';
import type { TestingModule } from '@nestjs/testing';
import { defineMaterializedView, RefreshService, type ViewClass } from '../../lib/index.js';
import { FaultServer } from '../support/fault-server.js';
import { bootWith } from '../support/test-app.js';
import { assertConsistent, assertInvariants, demanded } from './support/invariants.js';
import { HOURLY, Ledger, QUOTED_VIEW } from './support/ledger.js';
import { SmallDisk } from './support/small-disk.js';

const PARTITION_COUNT = 400;

describe('the server runs out of', () => {
  let server: FaultServer;
  let ledger: Ledger;
  let view: ViewClass;
  let app: TestingModule | undefined;

  beforeAll(async () => {
    server = await FaultServer.start();
  });

  beforeEach(async () => {
    ledger = await Ledger.create(server.url);
    view = ledger.view();
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
    await ledger.drop();
  });

  afterAll(async () => {
    await server.stop();
  });

  const refreshes = async (): Promise<RefreshService> => {
    app = await bootWith(ledger.database, { views: [view], synchronize: 'create' });
    return app.get(RefreshService);
  };

  const addAccounts = (count: number): Promise<unknown> =>
    ledger.database.query(
      `INSERT INTO public.entries SELECT (SELECT max(revision) + 1 FROM public.entries), 1000 + n, 1
       FROM generate_series(1, ${count}) AS n`,
    );

  (mayMount() ? it : it.skip)('26: disk (skipped for who may not mount a small one)', async () => {
    const disk = new SmallDisk();
    try {
      await ledger.database.query(`CREATE TABLESPACE small_disk LOCATION '${disk.directory}'`);
      const service = await refreshes();
      await ledger.database.query(
        `ALTER MATERIALIZED VIEW ${QUOTED_VIEW} SET TABLESPACE small_disk`,
      );
      await addAccounts(10_000);
      const free = disk.fill();
      const error = await service.refresh(view).catch((failure: unknown) => failure);
      expect(error).toMatchObject({ code: 'MV_SERVER_RESOURCES', cause: { code: '53100' } });
      await assertConsistent(ledger);
      free();
      await assertInvariants(ledger, { refresh: demanded(service, view) });
      await ledger.database.query(`DROP MATERIALIZED VIEW ${QUOTED_VIEW}`);
      await ledger.database.query('DROP TABLESPACE small_disk');
    } finally {
      disk.remove();
    }
  });

  it('27: room for temporary files', async () => {
    const service = await refreshes();
    await addAccounts(50_000);
    const limit = (setting: string): Promise<unknown> =>
      ledger.database.query(`ALTER DATABASE ${ledger.database.name} ${setting}`);
    await limit('SET work_mem = 64');
    await limit('SET temp_file_limit = 64');
    await ledger.database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    );
    let error = await service.refresh(view).catch((failure: unknown) => failure);
    if ((error as { code?: string }).code === 'MV_CONNECTION_FAILED') {
      error = await service.refresh(view).catch((failure: unknown) => failure);
    }
    expect(error).toMatchObject({
      code: 'MV_SERVER_RESOURCES',
      isTransient: false,
      cause: { code: '53400' },
    });
    await assertConsistent(ledger);
    await limit('RESET ALL');
    await assertInvariants(ledger, { refresh: demanded(service, view) });
  });

  it('28: connections for its role: retries stay few, and the tick is done when there are some', async () => {
    const role = `app_${ledger.database.name}`;
    const url = await ledger.ownedBy(role);
    const replica = await ledger.start({ cron: HOURLY, url });
    await ledger.database.query(`ALTER ROLE ${role} CONNECTION LIMIT 0`);
    await ledger.database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${role}'`,
    );
    let answer = await replica.ask<{ code: string; message: string }>({ do: 'refresh' });
    while (!answer.message.includes('53300')) {
      answer = await replica.ask({ do: 'refresh' });
    }
    expect(answer).toMatchObject({ outcome: 'failed', code: 'MV_CONNECTION_FAILED' });
    const tick = await ledger.makeDue();
    await ledger.letPass(1_000);
    await ledger.database.query(`ALTER ROLE ${role} CONNECTION LIMIT -1`);
    await ledger.untilDone(tick);
    const [sessions] = await ledger.database.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM pg_stat_activity WHERE usename = '${role}'`,
    );
    // TypeORM's connection, two for `poolSize`, and one for bookkeeping.
    expect(sessions?.count).toBeLessThanOrEqual(1 + 2 + 1);
    await assertInvariants(ledger, { by: replica });
  });

  it('room for locks: the process boots, and creates triggers table by table', async () => {
    const { database } = ledger;
    await database.query(`CREATE TABLE public.parts (id int) PARTITION BY LIST (id)`);
    await database.query(`DO $$ BEGIN FOR n IN 1..${PARTITION_COUNT} LOOP
      EXECUTE format('CREATE TABLE public.part_%s PARTITION OF public.parts FOR VALUES IN (%s)', n, n);
    END LOOP; END $$`);
    const holder = await database.session();
    const full = holder.query(`SELECT pg_advisory_lock(n) FROM generate_series(1, 10000000) AS n`);
    await expect(full).rejects.toMatchObject({ code: '53200' });
    await holder.query(
      `SELECT pg_advisory_unlock(n) FROM generate_series(1, ${PARTITION_COUNT / 2}) AS n`,
    );
    const reader = defineMaterializedView({
      schema: 'Odd schema',
      name: 'Reader of "parts"',
      expression: 'SELECT 1 AS id',
      columns: ['id'],
      refresh: { on: ['public.parts'] },
    });
    const warnings = jest.spyOn(ConsoleLogger.prototype, 'warn');
    app = await bootWith(database, { views: [reader], scheduling: true });
    expect(warnings).toHaveBeenCalledWith(
      expect.stringContaining('(`max_locks_per_transaction`)'),
      expect.anything(),
    );
    warnings.mockRestore();
    await database.until(
      `SELECT FROM pg_trigger WHERE NOT tgisinternal HAVING count(*) = ${4 * (PARTITION_COUNT + 1)}`,
    );
    await holder.end();
  });
});

function mayMount(): boolean {
  try {
    new SmallDisk().remove();
    return true;
  } catch {
    return false;
  }
}
