import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ScheduleModule } from '@nestjs/schedule';
import type { TestingModule } from '@nestjs/testing';
import { MaterializedViewsModule, RefreshService } from '../../../lib/index.js';
import { refreshLockKey } from '../../../lib/postgres/advisory-lock.js';
import { tickRequest } from '../../../lib/refresh/occasions.js';
import { definitionOf, managed } from '../../support/managed.js';
import { Network } from '../../support/network.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass, YEARLY } from '../../support/view-class.js';

const NAME = { schema: 'Analytics eu', name: 'daily "Revenue"' };

const Revenue = viewClass({
  ...NAME,
  expression: 'SELECT id FROM public.orders',
  key: ['id'],
  refresh: { settings: { work_mem: '8MB' } },
});

const Count = viewClass({
  schema: 'public',
  name: 'order_count',
  expression: 'SELECT count(*) AS id FROM public.orders',
  refresh: { cron: YEARLY, skipUnchanged: true },
});

describe('round trips', () => {
  let database: TestDatabase;
  let network: Network;
  let app: TestingModule;
  let refreshes: RefreshService;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE orders (id int)');
  });

  beforeEach(async () => {
    network = await Network.to(database.url);
    app = await boot(
      typeOrm(database, { url: network.url, autoLoadEntities: false, entities: [Revenue, Count] }),
      ScheduleModule.forRoot(),
      MaterializedViewsModule.forRoot({ views: [Revenue, Count], scheduling: false, poolSize: 1 }),
    );
    refreshes = app.get(RefreshService);
    // Opens the connection and identifies the server.
    await refreshes.refresh(Revenue);
  });

  afterEach(async () => {
    await app.close();
    await network.stop();
  });

  afterAll(async () => {
    await database.drop();
  });

  /** Counts only connections that refresh: meanwhile, others may prune old history. */
  const cost = async (work: () => Promise<unknown>): Promise<number> => {
    const before = network.flightCount('REFRESH MATERIALIZED VIEW');
    await work();
    return network.flightCount('REFRESH MATERIALIZED VIEW') - before;
  };

  // An answer in several parts is still one round trip, because the client sends nothing in between.
  it('are two for a refresh', async () => {
    await database.query('INSERT INTO orders VALUES (1)');
    expect(await cost(() => refreshes.refresh(Revenue))).toBe(2);
    expect(await cost(() => refreshes.refresh(Revenue, { mode: 'blocking' }))).toBe(2);
  });

  it('are three for a refresh that changes so much that the view is analysed', async () => {
    await database.query('INSERT INTO orders SELECT generate_series(1000, 1999)');
    expect(await cost(() => refreshes.refresh(Revenue))).toBe(3);
  });

  it('are two for one that is skipped', async () => {
    const other = await database.session();
    await other.query('BEGIN');
    await other.query('SELECT pg_advisory_xact_lock($1::bigint)', [refreshLockKey(NAME)]);
    const skipped = (): Promise<unknown> => refreshes.refresh(Revenue, { onBusy: 'skip' });
    expect(await cost(skipped)).toBe(2);
    await other.end();
  });

  describe('of a view that tracks changes', () => {
    const tick = async (at: Date): Promise<string> => {
      const definition = definitionOf(app, Count);
      return (await managed(app).refresher.runner.run(tickRequest(definition, at))).outcome;
    };

    it('are two for a refresh, even for one that reads obstacles', async () => {
      await database.query(
        `UPDATE materialized_views.view_state SET source_signature = NULL WHERE view_name = 'order_count'`,
      );
      expect(await cost(() => refreshes.refresh(Count))).toBe(2);
      await database.query('INSERT INTO orders VALUES (2)');
      expect(await cost(() => refreshes.refresh(Count))).toBe(2);
    });

    it('are two for a skipped tick, and for a poll after a write', async () => {
      await refreshes.refresh(Count);
      const skipped = async (): Promise<void> => expect(await tick(new Date())).toBe('skipped');
      expect(await cost(skipped)).toBe(2);

      const request = tickRequest(definitionOf(app, Count), new Date());
      const look = async (): Promise<void> => {
        const result = await managed(app).refresher.runner.run({
          ...request,
          trigger: 'write',
          tick: undefined,
        });
        expect(result).toMatchObject({ outcome: 'skipped', reason: 'unchanged' });
      };
      expect(await cost(look)).toBe(2);
      expect(
        await database.query(
          `SELECT count(*)::int AS count FROM materialized_views.refresh_history
           WHERE view_name = 'order_count' AND mode_reason = 'unchanged'`,
        ),
      ).toEqual([{ count: 1 }]);
    });
  });
});
