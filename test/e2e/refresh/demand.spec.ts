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
import type { TestingModule } from '@nestjs/testing';
import { CronExpression } from '@nestjs/schedule';
import {
  MaterializedViewsModule,
  RefreshBusyError,
  RefreshCancelledError,
  RefreshService,
  RefreshStoppedError,
  RefreshTimeoutError,
  type RefreshResult,
  type ViewClass,
  ViewQueryError,
} from '../../../lib/index.js';
import { DataSource } from 'typeorm';
import { tickRequest } from '../../../lib/refresh/occasions.js';
import { LibraryClient } from '../../../lib/postgres/library-client.js';
import { definitionOf, managed } from '../../support/managed.js';
import { Network } from '../../support/network.js';
import { Replica, type Requested } from '../../support/replica-process.js';
import { boot, bootWith, typeOrm } from '../../support/test-app.js';
import { ADVISORY_LOCKS, type ClosedGate, TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const Revenue = viewClass({
  name: 'daily "Revenue"',
  schema: 'Analytics eu',
  expression: `SELECT id, 100 / amount AS ratio FROM public.orders WHERE public.gate()`,
  columns: ['id', 'ratio'],
  key: ['id'],
});

const Seldom = viewClass({
  name: 'seldom',
  expression: 'SELECT id FROM public.orders',
  key: ['id'],
  refresh: { minInterval: '1h' },
});

const Secondly = viewClass({
  name: 'secondly',
  expression: 'SELECT id FROM public.orders',
  key: ['id'],
  refresh: { minInterval: '1h', cron: CronExpression.EVERY_SECOND },
});

const HAS = (id: number): string =>
  `SELECT FROM "Analytics eu"."daily ""Revenue""" WHERE id = ${id}`;

describe('requests to refresh', () => {
  let database: TestDatabase;
  const apps: TestingModule[] = [];
  let refreshes: RefreshService;

  const start = async (
    views: ViewClass[] = [Revenue, Seldom],
    options: object = {},
  ): Promise<RefreshService> => {
    const app = await bootWith(database, { views, lockTimeout: '30s', ...options });
    apps.push(app);
    return app.get(RefreshService);
  };
  const stop = async (): Promise<void> => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  };

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE orders (id int, amount int)');
    await database.createGate();
  });

  beforeEach(async () => {
    await database.query('DROP SCHEMA IF EXISTS materialized_views, "Analytics eu" CASCADE');
    await database.query('DROP MATERIALIZED VIEW IF EXISTS seldom, secondly');
    await database.query('TRUNCATE orders');
    await database.query('INSERT INTO orders VALUES (1, 1)');
    refreshes = await start();
  });

  afterEach(stop);

  afterAll(async () => {
    await database.drop();
  });

  const insert = (id: number): Promise<unknown> =>
    database.query('INSERT INTO orders VALUES ($1, 1)', [id]);
  const history = async (): Promise<unknown[]> => {
    const rows = await database.query(
      `SELECT outcome FROM materialized_views.refresh_history WHERE trigger <> 'sync' ORDER BY started_at`,
    );
    return rows.map((row) => row.outcome as unknown);
  };
  const outcomes = (results: RefreshResult[]): Record<string, number> => {
    const counts: Record<string, number> = {};
    results.forEach(({ outcome }) => (counts[outcome] = (counts[outcome] ?? 0) + 1));
    return counts;
  };
  /** Resolves to the result, and checks that the view then has the row. */
  const covering = async (id: number, result: Promise<RefreshResult>): Promise<RefreshResult> => {
    const settled = await result;
    expect(await apps[0]?.get(DataSource).query<unknown[]>(HAS(id))).toHaveLength(1);
    return settled;
  };
  /** Lets the refresh at the gate through, and stops the next one there. */
  const betweenTwo = async (gate: ClosedGate): Promise<ClosedGate> => {
    const closing = database.closeGate();
    await gate.untilReached(2);
    await gate.open();
    const closed = await closing;
    await closed.untilReached();
    return closed;
  };

  it('share one more refresh while one is running', async () => {
    const gate = await database.closeGate();
    const running = refreshes.refresh(Revenue);
    await gate.untilReached();
    // A later call must not share the refresh of a caller that has given up.
    await expect(refreshes.refresh(Revenue, { timeout: 1 })).rejects.toThrow(RefreshTimeoutError);
    await insert(2);
    const requests = Array.from({ length: 50 }, () => covering(2, refreshes.refresh(Revenue)));
    await gate.open();
    const first = await running;
    const results = await Promise.all(requests);
    expect(first.outcome).toBe('refreshed');
    expect(outcomes(results)).toEqual({ refreshed: 1, joined: 49 });
    expect(new Set(results.map(({ runId }) => runId)).size).toBe(1);
    expect(results[0]?.runId).not.toBe(first.runId);
    expect(await history()).toEqual(['refreshed', 'refreshed']);
  });

  it('share one more refresh with requests of another application', async () => {
    const others = await start();
    const gate = await database.closeGate();
    const running = refreshes.refresh(Revenue);
    await gate.untilReached();
    await insert(2);
    const requests = [refreshes, others, refreshes, others].map((each) =>
      covering(2, each.refresh(Revenue)),
    );
    await gate.open();
    await running;
    const results = await Promise.all(requests);
    // If it isn't clear that the other refresh began late enough, the call refreshes itself.
    const { refreshed = 0, joined } = outcomes(results);
    expect([1, 2]).toContain(refreshed);
    expect(joined).toBe(4 - refreshed);
    for (const result of results) {
      expect(result).toMatchObject({ mode: 'concurrently', modeReason: 'unique_index' });
      expect(result.finishedAt.getTime()).toBeGreaterThanOrEqual(result.startedAt.getTime());
    }
    expect(await history()).toEqual(Array(1 + refreshed).fill('refreshed'));
  });

  it('are not served by a refresh that began before the last of them', async () => {
    const others = await start();
    const first = await database.closeGate();
    const running = others.refresh(Revenue);
    await first.untilReached();
    const early = refreshes.refresh(Revenue);
    // In a transaction, a refresh queues for the lock in the database, so it gets it before calls that retry.
    const next = apps[1]
      ?.get(DataSource)
      .transaction((manager) => others.refresh(Revenue, { manager }));
    await database.until(`SELECT FROM ${ADVISORY_LOCKS} WHERE objid <> 4711 AND NOT granted`);
    const second = await betweenTwo(first);
    await insert(2);
    const late = covering(2, refreshes.refresh(Revenue));
    await second.open();
    await running;
    const runId = (await next)?.runId;
    const [one, other] = await Promise.all([early, late]);
    expect(outcomes([one, other])).toEqual({ refreshed: 1, joined: 1 });
    expect(other.runId).toBe(one.runId);
    expect(other.runId).not.toBe(runId);
  });

  /** A refresh that begins after this is known to be later than all requests, despite inexact clocks. */
  const untilClearlyLater = async (): Promise<void> => {
    const [moment] = await database.query<{ now: Date }>('SELECT clock_timestamp() AS now');
    await database.until(`SELECT WHERE clock_timestamp() > $1::timestamptz + interval '2 s'`, [
      moment?.now,
    ]);
  };

  it('that empty the view are served by no other refresh', async () => {
    const others = await start();
    const gate = await database.closeGate();
    const running = others.refresh(Revenue);
    await gate.untilReached();
    const emptied = refreshes.refresh(Revenue, { withData: false });
    await untilClearlyLater();
    // In a transaction, a refresh queues for the lock in the database, so it gets it before calls that retry.
    const next = apps[1]
      ?.get(DataSource)
      .transaction((manager) => others.refresh(Revenue, { manager }));
    await database.until(`SELECT FROM ${ADVISORY_LOCKS} WHERE objid <> 4711 AND NOT granted`);
    await gate.open();
    await Promise.all([running, next]);
    expect(await emptied).toMatchObject({ outcome: 'refreshed', modeReason: 'with_no_data' });
    expect(await refreshes.status(Revenue)).toMatchObject({ isPopulated: false });
  });

  it('cost three refreshes for a thousand requests from four processes, before and during the second', async () => {
    await stop();
    await database.query('DROP SCHEMA materialized_views CASCADE');
    const replicas = Array.from({ length: 4 }, () =>
      Replica.start(database.url, {
        expression: 'SELECT id FROM public.orders WHERE public.gate()',
      }),
    );
    try {
      await Promise.all(replicas.map((replica) => replica.until('booted')));
      const first = await database.closeGate();
      for (const [position, replica] of replicas.entries()) {
        await insert(10 + position);
        await replica.ask({ count: 125, row: 10 + position });
        await first.untilReached();
      }
      await untilClearlyLater();
      const second = await betweenTwo(first);
      await insert(20);
      await Promise.all(replicas.map((replica) => replica.ask({ count: 125, row: 20 })));
      await untilClearlyLater();
      await second.open();
      const requested = await Promise.all(
        replicas.map((replica) => replica.ask<Requested[]>({})),
      ).then((answers) => answers.flat());
      expect(requested).toHaveLength(1_000);
      expect(requested.filter(({ isCovered }) => !isCovered)).toEqual([]);
      expect(requested.filter(({ outcome }) => outcome === 'refreshed')).toHaveLength(3);
      expect(requested.filter(({ outcome }) => outcome === 'joined')).toHaveLength(997);
      expect(await history()).toEqual(Array(3).fill('refreshed'));
    } finally {
      await Promise.all(replicas.map((replica) => replica.stop()));
      await database.query('DROP MATERIALIZED VIEW IF EXISTS ticking, ticking_total CASCADE');
    }
  });

  it('always refresh by themselves with "wait"', async () => {
    const others = await start();
    const gate = await database.closeGate();
    const running = refreshes.refresh(Revenue);
    await gate.untilReached();
    const requests = [refreshes, refreshes, others].map((each) =>
      each.refresh(Revenue, { onBusy: 'wait' }),
    );
    await gate.open();
    await running;
    expect(outcomes(await Promise.all(requests))).toEqual({ refreshed: 3 });
    expect(await history()).toEqual(Array(4).fill('refreshed'));
  });

  it('are refused with "skip" and "fail", in this and other processes', async () => {
    const others = await start();
    const gate = await database.closeGate();
    const running = refreshes.refresh(Revenue);
    await gate.untilReached();
    for (const each of [refreshes, others]) {
      const skipped = await each.refresh(Revenue, { onBusy: 'skip' });
      expect(skipped).toMatchObject({ outcome: 'skipped', reason: 'busy' });
      const failure = await each
        .refresh(Revenue, { onBusy: 'fail' })
        .catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(RefreshBusyError);
      expect(failure).toMatchObject({ code: 'MV_BUSY', view: 'Analytics eu.daily "Revenue"' });
    }
    await gate.open();
    await running;
    expect(await refreshes.refresh(Revenue, { onBusy: 'fail' })).toMatchObject({
      outcome: 'refreshed',
    });
    expect(await history()).toEqual(['refreshed', 'refreshed']);
  });

  it('share a failure too', async () => {
    const gate = await database.closeGate();
    const running = refreshes.refresh(Revenue);
    await gate.untilReached();
    await database.query('UPDATE orders SET amount = 0');
    const requests = Array.from({ length: 5 }, () =>
      refreshes.refresh(Revenue).catch((error: unknown) => error),
    );
    await gate.open();
    expect(await running).toMatchObject({ outcome: 'refreshed' });
    for (const failure of await Promise.all(requests)) {
      expect(failure).toBeInstanceOf(ViewQueryError);
    }
    expect(await history()).toEqual(['refreshed', 'failed']);
  });

  it('refresh by themselves if the refresh of another process fails', async () => {
    const others = await start();
    await database.query('UPDATE orders SET amount = 0');
    const gate = await database.closeGate();
    const failing = others.refresh(Revenue).catch((error: unknown) => error);
    await gate.untilReached();
    const request = refreshes.refresh(Revenue);
    await database.query('UPDATE orders SET amount = 1');
    await insert(2);
    await gate.open();
    expect(await failing).toBeInstanceOf(ViewQueryError);
    expect(await covering(2, request)).toMatchObject({ outcome: 'refreshed' });
    expect(await history()).toEqual(['failed', 'refreshed']);
  });

  it('are served by a refresh of any mode, but not by one that empties the view', async () => {
    const gate = await database.closeGate();
    const running = refreshes.refresh(Revenue);
    await gate.untilReached();
    const requests = [
      refreshes.refresh(Revenue, { withData: false }),
      refreshes.refresh(Revenue),
      refreshes.refresh(Revenue, { mode: 'blocking' }),
      refreshes.refresh(Revenue, { withData: false }),
    ];
    await gate.open();
    await running;
    const [emptied, first, second, shared] = await Promise.all(requests);
    expect(emptied).toMatchObject({ outcome: 'refreshed', modeReason: 'with_no_data' });
    expect(shared).toMatchObject({ outcome: 'joined', runId: emptied?.runId });
    expect(outcomes([first, second] as RefreshResult[])).toEqual({ refreshed: 1, joined: 1 });
    expect(first?.runId).not.toBe(emptied?.runId);
    expect(first?.runId).toBe(second?.runId);
    expect(await history()).toHaveLength(3);
  });

  it('are skipped for `minInterval`, across a restart too', async () => {
    // The view got its first rows when it was created.
    expect(await refreshes.refresh(Seldom)).toMatchObject({ reason: 'min_interval' });
    await database.query(
      `UPDATE materialized_views.view_state SET last_success_at = last_success_at - interval '1 h'`,
    );
    expect(await refreshes.refresh(Seldom)).toMatchObject({ outcome: 'refreshed' });
    await stop();
    refreshes = await start();
    for (const onBusy of ['join', 'wait', 'skip', 'fail'] as const) {
      expect(await refreshes.refresh(Seldom, { onBusy })).toMatchObject({
        outcome: 'skipped',
        reason: 'min_interval',
      });
    }
    expect(await history()).toEqual(['refreshed']);
  });

  it('empty and fill a view despite `minInterval`: it cannot be read meanwhile', async () => {
    expect(await refreshes.refresh(Seldom, { withData: false })).toMatchObject({
      outcome: 'refreshed',
    });
    expect(await refreshes.refresh(Seldom)).toMatchObject({ modeReason: 'unpopulated' });
    await database.query('REFRESH MATERIALIZED VIEW seldom WITH NO DATA');
    expect(await refreshes.refresh(Seldom)).toMatchObject({ modeReason: 'unpopulated' });
  });

  it('do not make ticks skip because of `minInterval`', async () => {
    await start([Secondly], { scheduling: true });
    await database.until(
      `SELECT FROM materialized_views.refresh_history WHERE view_name = 'secondly'
       AND tick IS NOT NULL AND outcome = 'refreshed' HAVING count(*) >= 2`,
    );
  });

  it('wait for a running refresh, and not for all that are due', async () => {
    const plain = (name: string): ViewClass =>
      viewClass({ name, expression: 'SELECT id FROM public.orders' });
    const due = [0, 1, 2, 3].map((index) => plain(`due_${index}`));
    const wanted = plain('wanted');
    await stop();
    await start([Revenue, wanted, ...due], { poolSize: 1 });
    const app = apps[0]!;
    const { runner } = managed(app).refresher;
    const tick = (view: ViewClass): Promise<RefreshResult> =>
      runner.run({ ...tickRequest(definitionOf(app, view), new Date()), tick: undefined });
    const gate = await database.closeGate();
    const running = app.get(RefreshService).refresh(Revenue);
    await gate.untilReached();
    const ticks = due.map(tick);
    const asked = [wanted, due[3]!].map((view) => app.get(RefreshService).refresh(view));
    const drift = app.get(RefreshService).drift(wanted);
    await gate.open();
    await Promise.all([running, ...ticks, ...asked, drift]);
    const order = await database.query<{ view_name: string }>(
      `SELECT view_name FROM materialized_views.refresh_history
       WHERE trigger <> 'sync' ORDER BY finished_at`,
    );
    expect(order.map((row) => row.view_name)).toEqual([
      'daily "Revenue"',
      'wanted',
      'due_3',
      'due_0',
      'due_1',
      'due_2',
    ]);
    expect(await asked[1]).toMatchObject({ outcome: 'joined' });
    await database.query('DROP MATERIALIZED VIEW wanted, due_0, due_1, due_2, due_3');
  });

  it('wait for no standby where none is connected', async () => {
    const result = await refreshes.refresh(Revenue, { waitForReplicas: true });
    expect(result).toMatchObject({ outcome: 'refreshed' });
    expect(result.lsn).toBeUndefined();
    expect((await refreshes.status(Revenue)).lsn).toBeUndefined();
  });

  it('end with their timeouts, and the refresh ends with the last of them', async () => {
    const gate = await database.closeGate();
    const request = refreshes.refresh(Revenue, { timeout: 200 }).catch((error: unknown) => error);
    const failure = await request;
    expect(failure).toBeInstanceOf(RefreshTimeoutError);
    expect(String(failure)).toContain('took longer than its `timeout` of 200 ms');
    await database.until(
      `SELECT FROM materialized_views.refresh_history WHERE outcome = 'cancelled'`,
    );
    await gate.open();
    expect(await refreshes.refresh(Revenue)).toMatchObject({ outcome: 'refreshed' });
  });

  it('go on while others wait for the same refresh', async () => {
    const gate = await database.closeGate();
    const [leaving, staying] = [new AbortController(), new AbortController()];
    const reason = new Error('the browser is gone');
    const left = refreshes
      .refresh(Revenue, { signal: leaving.signal })
      .catch((error: unknown) => error);
    const stayed = refreshes.refresh(Revenue, { signal: staying.signal });
    await gate.untilReached();
    leaving.abort(reason);
    const failure = await left;
    expect(failure).toBeInstanceOf(RefreshCancelledError);
    expect(failure).toMatchObject({ cause: reason });
    await gate.open();
    // One of the callers of a refresh always gets `refreshed`, even after others have left.
    expect(await stayed).toMatchObject({ outcome: 'refreshed' });
    expect(await history()).toEqual(['refreshed']);
  });

  it('cancel the refresh in the server when the last of them leaves', async () => {
    const gate = await database.closeGate();
    const leaving = new AbortController();
    const requests = [1, 2, 3].map(() =>
      refreshes.refresh(Revenue, { signal: leaving.signal }).catch((error: unknown) => error),
    );
    await gate.untilReached();
    leaving.abort();
    for (const failure of await Promise.all(requests)) {
      expect(failure).toBeInstanceOf(RefreshCancelledError);
    }
    await database.until(
      `SELECT FROM materialized_views.refresh_history WHERE outcome = 'cancelled'`,
    );
    await gate.open();
    expect(await history()).toEqual(['cancelled']);
  });

  it('keep the refresh from beginning when the last of them leaves before', async () => {
    const other = await database.session();
    await other.query('BEGIN; LOCK materialized_views.view_state');
    const leaving = new AbortController();
    const request = refreshes
      .refresh(Revenue, { signal: leaving.signal })
      .catch((error: unknown) => error);
    await database.until(`SELECT FROM pg_locks
      WHERE relation = 'materialized_views.view_state'::regclass AND NOT granted`);
    leaving.abort();
    expect(await request).toBeInstanceOf(RefreshCancelledError);
    await other.query('COMMIT');
    await other.end();
    await database.until(`SELECT FROM materialized_views.refresh_history WHERE trigger = 'demand'`);
    expect(await history()).toEqual(['cancelled']);
  });

  it('leave the queue when their caller gives up', async () => {
    const others = await start();
    const gate = await database.closeGate();
    const running = others.refresh(Revenue);
    await gate.untilReached();
    const leaving = new AbortController();
    const request = refreshes
      .refresh(Revenue, { signal: leaving.signal })
      .catch((error: unknown) => error);
    const staying = refreshes.refresh(Revenue, { mode: 'blocking' });
    leaving.abort();
    expect(await request).toBeInstanceOf(RefreshCancelledError);
    await gate.open();
    await running;
    expect(await staying).toMatchObject({ outcome: 'refreshed', mode: 'blocking' });
    const refreshed = (await history()).filter((outcome) => outcome === 'refreshed');
    expect(refreshed).toHaveLength(2);
  });

  it('send nothing if they are already aborted', async () => {
    await refreshes.refresh(Seldom);
    const query = jest.spyOn(LibraryClient.prototype, 'query');
    try {
      for (const onBusy of ['join', 'wait', 'skip', 'fail'] as const) {
        await expect(
          refreshes.refresh(Revenue, { onBusy, signal: AbortSignal.abort() }),
        ).rejects.toThrow(RefreshCancelledError);
      }
      expect(query.mock.calls).toEqual([]);
    } finally {
      query.mockRestore();
    }
    expect(await refreshes.refresh(Revenue)).toMatchObject({ outcome: 'refreshed' });
  });

  it('do not crash the process if the cancel reaches no server', async () => {
    const network = await Network.to(database.url);
    const app = await boot(
      typeOrm(database, { url: network.url, autoLoadEntities: false, entities: [Revenue] }),
      MaterializedViewsModule.forRoot({ views: [Revenue], scheduling: false }),
    );
    const gate = await database.closeGate();
    const leaving = new AbortController();
    const request = app
      .get(RefreshService)
      .refresh(Revenue, { signal: leaving.signal })
      .catch((error: unknown) => error);
    await gate.untilReached();
    const stopped = network.stop();
    leaving.abort();
    expect(await request).toBeInstanceOf(RefreshCancelledError);
    await stopped;
    await gate.open();
    // An unhandled rejection would fail this test.
    await app.close();
  });

  it('fail if the application stops while they wait', async () => {
    const others = await start();
    const gate = await database.closeGate();
    const running = others.refresh(Revenue);
    await gate.untilReached();
    const requests = (['join', 'wait'] as const).map((onBusy) =>
      refreshes.refresh(Revenue, { onBusy }).catch((error: unknown) => error),
    );
    await apps.shift()?.close();
    for (const failure of await Promise.all(requests)) {
      expect(failure).toBeInstanceOf(RefreshStoppedError);
    }
    await expect(refreshes.refresh(Revenue)).rejects.toThrow(RefreshStoppedError);
    await gate.open();
    expect(await running).toMatchObject({ outcome: 'refreshed' });
    expect(await history()).toEqual(['refreshed']);
  });

  it('let a running refresh finish when the application stops, and begin no other', async () => {
    const gate = await database.closeGate();
    const running = refreshes.refresh(Revenue);
    await gate.untilReached();
    const waiting = refreshes.refresh(Revenue).catch((error: unknown) => error);
    const closing = stop();
    await gate.open();
    expect(await running).toMatchObject({ outcome: 'refreshed' });
    expect(await waiting).toBeInstanceOf(RefreshStoppedError);
    await closing;
    expect(await history()).toEqual(['refreshed']);
  });
});
