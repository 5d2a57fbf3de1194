import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable, Module, type DynamicModule } from '@nestjs/common';
import { CronExpression } from '@nestjs/schedule';
import { EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import type { TestingModule } from '@nestjs/testing';
import { tracingChannel } from 'node:diagnostics_channel';
import {
  MaterializedViewEvents,
  MaterializedViewChannels,
  RefreshService,
  type RefreshTrace,
  SchemaService,
  type ViewClass,
  ViewQueryError,
} from '../../../lib/index.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const REVENUE = 'Analytics eu.daily "Revenue"';

const Revenue = viewClass({
  name: 'daily "Revenue"',
  schema: 'Analytics eu',
  expression: 'SELECT id, 100 / amount AS ratio FROM public.orders',
  columns: ['id', 'ratio'],
  key: ['id'],
  refresh: { cron: CronExpression.EVERY_HOUR },
});

const Total = viewClass({
  name: 'total',
  expression: 'SELECT count(*)::int AS id FROM public.orders',
});

interface Heard {
  name: string;
  payload: Record<string, unknown>;
}

let heard: Heard[] = [];
let onHeard: (name: string) => unknown = () => undefined;
const hear = (name: string, payload: object): unknown => {
  heard.push({ name: name.replace('materialized_view.', ''), payload: { ...payload } });
  return onHeard(name);
};

/** Like an application, it has one method for each event. */
@Injectable()
class Listener {}
for (const [key, name] of Object.entries(MaterializedViewEvents)) {
  const method = (payload: object): unknown => hear(name, payload);
  Object.defineProperty(Listener.prototype, key, { value: method });
  OnEvent(name, { suppressErrors: false })(
    Listener.prototype,
    key,
    Object.getOwnPropertyDescriptor(Listener.prototype, key) as PropertyDescriptor,
  );
}

@Module({ providers: [Listener] })
class ListenerModule {}

const names = (): string[] => heard.map(({ name }) => name);
/** Resolves to an event's payload: listeners hear an event a few turns of the event loop after it is published. */
const untilHeard = async (name: string): Promise<Record<string, unknown>> => {
  for (;;) {
    const found = heard.find((each) => each.name === name);
    if (found !== undefined) {
      return found.payload;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
};

describe('events', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let refreshes: RefreshService;

  const start = async (
    options: { views?: ViewClass[] } & Record<string, unknown> = {},
    ...imports: DynamicModule[]
  ): Promise<void> => {
    await app?.close();
    heard = [];
    const emitter = imports.length > 0 ? imports : [EventEmitterModule.forRoot({ wildcard: true })];
    app = await bootWith(
      database,
      { views: [Revenue, Total], lockTimeout: '30s', ...options },
      ...emitter,
      ListenerModule,
    );
    refreshes = app.get(RefreshService);
  };

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE orders (id int, amount int)');
  });

  beforeEach(async () => {
    await database.query('DROP SCHEMA IF EXISTS materialized_views, "Analytics eu" CASCADE');
    await database.query('DROP MATERIALIZED VIEW IF EXISTS total');
    await database.query('TRUNCATE orders');
    await database.query('INSERT INTO orders VALUES (1, 1)');
    onHeard = () => undefined;
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  afterAll(async () => {
    await database.drop();
  });

  it('report a refresh: its start, and its success with the result', async () => {
    await start();
    await untilHeard('schema.synced');
    heard = [];
    const result = await refreshes.refresh(Revenue);
    await untilHeard('refresh.succeeded');
    const about = {
      view: REVENUE,
      dataSource: 'default',
      trigger: 'demand',
      tick: undefined,
    };
    expect(heard).toEqual([
      { name: 'refresh.started', payload: { ...about, attempt: 1 } },
      { name: 'refresh.succeeded', payload: { ...about, result } },
    ]);
  });

  it('report a failure, the recovery from it, and skipped refreshes', async () => {
    await start();
    await database.query('UPDATE orders SET amount = 0');
    const failure = await refreshes.refresh(Revenue).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ViewQueryError);
    expect(await untilHeard('refresh.failed')).toMatchObject({
      view: REVENUE,
      attempt: 1,
      error: failure,
    });
    await database.query('UPDATE orders SET amount = 1');
    await refreshes.refresh(Revenue);
    expect(await untilHeard('recovered')).toMatchObject({ view: REVENUE, failureCount: 1 });
    await refreshes.pause(Revenue);
    const skipped = await refreshes.refresh(Revenue, { onPaused: 'skip' });
    expect(await untilHeard('refresh.skipped')).toMatchObject({ result: skipped });
    expect(names()).not.toContain('refresh.retrying');
  });

  it('report each attempt', async () => {
    await start({ lockTimeout: 20 });
    const reader = await database.session();
    await reader.query('BEGIN; SELECT * FROM total');
    const request = refreshes.refresh(Total);
    const retrying = await untilHeard('refresh.retrying');
    expect(retrying).toMatchObject({ attempt: 1, error: { code: 'MV_REFRESH_LOCKED' } });
    expect(retrying.retryInMs).toEqual(expect.any(Number));
    await reader.end();
    await request;
    await untilHeard('refresh.succeeded');
    expect(names()).not.toContain('refresh.failed');
  });

  it('report whether a data source is as declared, even to listeners added after the boot', async () => {
    await start();
    expect(await untilHeard('schema.synced')).toMatchObject({
      dataSource: 'default',
      counts: { created: 2, skipped: 0 },
    });
    const Changed = viewClass({ name: 'total', expression: 'SELECT 7 AS id' });
    await start({ views: [Revenue, Changed], synchronize: 'verify' });
    expect(await untilHeard('schema.drifted')).toMatchObject({ counts: { skipped: 1 } });
    expect(names()).not.toContain('schema.synced');
    await start({ views: [Revenue], synchronize: true });
    expect(await untilHeard('schema.drifted')).toMatchObject({ counts: { orphaned: 1 } });
    await start();
    expect(await untilHeard('schema.synced')).toMatchObject({ counts: { unchanged: 2 } });
  });

  it('report once that a view has become stale', async () => {
    await start({ scheduling: true, sweepInterval: 20 });
    await refreshes.pause(Revenue);
    const age = (interval: string): Promise<unknown> =>
      database.query(
        `UPDATE materialized_views.view_state SET last_started_at = clock_timestamp() - $1::interval`,
        [interval],
      );
    await age('1 day');
    const stale = await untilHeard('stale');
    expect(stale).toMatchObject({ view: REVENUE, dataSource: 'default' });
    expect(stale.ageMs).toBeGreaterThanOrEqual(86_400_000);
    expect(stale.maxStalenessMs).toBeLessThan(86_400_000);
    const sweeps = await database.query<{ calls: string }>(
      `SELECT xact_commit AS calls FROM pg_stat_database WHERE datname = current_database()`,
    );
    await database.until(
      `SELECT FROM pg_stat_database WHERE datname = current_database() AND xact_commit > $1`,
      [Number(sweeps[0]?.calls) + 20],
    );
    expect(names().filter((name) => name === 'stale')).toHaveLength(1);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('a listener');
      },
    ],
    ['rejects', () => Promise.reject(new Error('a listener'))],
  ])('are nothing to a refresh when a listener %s', async (_, listener) => {
    onHeard = listener;
    await start();
    expect(await refreshes.refresh(Revenue)).toMatchObject({ outcome: 'refreshed' });
    await untilHeard('refresh.succeeded');
    expect(await refreshes.refresh(Revenue)).toMatchObject({ outcome: 'refreshed' });
  });

  it('are optional', async () => {
    app = await bootWith(database, { views: [Revenue, Total] });
    heard = [];
    refreshes = app.get(RefreshService);
    expect(await refreshes.refresh(Revenue)).toMatchObject({ outcome: 'refreshed' });
    await app.get(SchemaService).plan();
    expect(heard).toEqual([]);
  });

  it('are traced by node:diagnostics_channel too, attempt by attempt', async () => {
    const traced: [string, RefreshTrace][] = [];
    const note =
      (what: string) =>
      (message: unknown): void =>
        void traced.push([what, { ...(message as RefreshTrace) }]);
    const subscribers = {
      start: note('start'),
      end: note('end'),
      asyncStart: note('asyncStart'),
      asyncEnd: note('asyncEnd'),
      error: note('error'),
    };
    const channel = tracingChannel(MaterializedViewChannels.refresh);
    channel.subscribe(subscribers);
    try {
      await start();
      const result = await refreshes.refresh(Revenue);
      await database.query('UPDATE orders SET amount = 0');
      const error = await refreshes.refresh(Revenue).catch((failure: unknown) => failure);
      expect(traced.map(([what]) => what)).toEqual([
        'start',
        'asyncEnd',
        'start',
        'error',
        'asyncEnd',
      ]);
      expect(traced[1]?.[1]).toMatchObject({ view: REVENUE, attempt: 1, result });
      expect(traced[3]?.[1]).toMatchObject({ view: REVENUE, attempt: 1, error });
    } finally {
      channel.unsubscribe(subscribers);
    }
  });
});
