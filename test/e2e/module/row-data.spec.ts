import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EventEmitter2, EventEmitterModule } from '@nestjs/event-emitter';
import { Logger, type LoggerService } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { TestingModule } from '@nestjs/testing';
import diagnostics from 'node:diagnostics_channel';
import { inspect } from 'node:util';
import { Registry } from 'prom-client';
import type { DataSource } from 'typeorm';
import { check } from '../../../lib/cli/check.js';
import { doctor } from '../../../lib/cli/doctor.js';
import { explain } from '../../../lib/cli/explain.js';
import { DashboardActions } from '../../../lib/dashboard/dashboard.actions.js';
import { DashboardReader } from '../../../lib/dashboard/dashboard.reader.js';
import { DashboardRoutes } from '../../../lib/dashboard/dashboard.routes.js';
import { judge } from '../../../lib/health/view-health.js';
import {
  alterTable,
  defineMaterializedView,
  MaterializedViewError,
  MaterializedViewChannels,
  type RefreshOptions,
  RefreshService,
  SchemaService,
} from '../../../lib/index.js';
import { registerMetrics } from '../../../lib/prometheus/index.js';
import { managed } from '../../support/managed.js';
import { oneIn } from '../../support/matrix.js';
import { bootWith } from '../../support/test-app.js';
import { type Leak, LEAK_TYPES, LEAKS, MARKER } from '../../support/leaks.js';
import { TestDatabase } from '../../support/test-database.js';

const SCHEMA = 'Row "data"';
const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const viewNameOf = (position: number): string => `Leak "${position}"`;

/** The texts of a value, however it is printed. */
function printed(value: unknown): string[] {
  const texts = [
    String(value),
    inspect(value, { depth: 12 }),
    // How Node prints an uncaught error.
    inspect(value, { depth: 12, customInspect: false }),
    JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each)) ??
      '',
  ];
  for (let error = value; error instanceof Error; error = error.cause) {
    texts.push(error.message, error.stack ?? '', JSON.stringify({ ...error }));
    texts.push(error instanceof MaterializedViewError ? (error.hint ?? '') : '');
  }
  return texts;
}

function expectNoRowData(...values: unknown[]): void {
  for (const text of values.flatMap(printed)) {
    expect(text.toLowerCase()).not.toContain(MARKER.toLowerCase());
  }
}

/** All that the library publishes or logs. */
const said: unknown[] = [];
const logger: LoggerService = {
  log: (...line: unknown[]) => void said.push(line),
  error: (...line: unknown[]) => void said.push(line),
  warn: (...line: unknown[]) => void said.push(line),
  debug: (...line: unknown[]) => void said.push(line),
  verbose: (...line: unknown[]) => void said.push(line),
};
const onMessage = (message: unknown): void => void said.push(message);
const CHANNELS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'].map(
  (name) => `tracing:${MaterializedViewChannels.refresh}:${name}`,
);

const viewOf = (leak: Leak, position: number, column = 'v') =>
  defineMaterializedView({
    name: viewNameOf(position),
    schema: SCHEMA,
    expression: `SELECT id, ${leak.expression}::text AS ${column} FROM public.people_${position}`,
    columns: ['id', column],
    indexes: [{ name: `leak_${position}_id`, keys: ['id'], unique: true }],
  });

async function failureOf(work: () => Promise<unknown>): Promise<MaterializedViewError> {
  try {
    await work();
  } catch (error) {
    expect(error).toBeInstanceOf(MaterializedViewError);
    return error as MaterializedViewError;
  }
  throw new Error('It was expected to fail');
}

let database: TestDatabase;
let app: TestingModule;
let refreshes: RefreshService;
let dataSource: DataSource;
const views = LEAKS.map((leak, position) => viewOf(leak, position));

beforeAll(async () => {
  database = await TestDatabase.create();
  await database.query(LEAK_TYPES);
  for (const [position, { setup = '' }] of LEAKS.entries()) {
    await database.query(`CREATE TABLE people_${position} (id int, secret text); ${setup}`);
  }
  for (const channel of [...CHANNELS, MaterializedViewChannels.sync]) {
    diagnostics.subscribe(channel, onMessage);
  }
  app = await bootWith(
    database,
    { views, poolSize: 8, stateSchema: 'Own "state"' },
    EventEmitterModule.forRoot({ wildcard: true }),
  );
  app.get(EventEmitter2).onAny((...event: unknown[]) => void said.push(event));
  Logger.overrideLogger(logger);
  refreshes = app.get(RefreshService);
  dataSource = app.get<DataSource>(getDataSourceToken());
  for (const position of LEAKS.keys()) {
    await database.query(`INSERT INTO people_${position} VALUES (1, '${MARKER}')`);
  }
}, 180_000);

afterAll(async () => {
  Logger.overrideLogger(['fatal']);
  for (const channel of [...CHANNELS, MaterializedViewChannels.sync]) {
    diagnostics.unsubscribe(channel, onMessage);
  }
  await app?.close();
  await database?.drop();
});

const TRANSIENT = /with (25006|40001|40P01|53300|55P03)/;
const cases = LEAKS.map((leak, position): [string, number] => [leak.name, position]);
const quick = cases.filter(([name]) => !TRANSIENT.test(name));

/** Failures whose errors name no value in PostgreSQL either. */
const SILENT = ['a cast to a domain', 'a regular expression', 'a long value'];

it('the errors of PostgreSQL hold row data, or this file tests nothing', async () => {
  const silent: string[] = [];
  for (const [position, { name }] of LEAKS.entries()) {
    const view = `${quoted(SCHEMA)}.${quoted(viewNameOf(position))}`;
    const error = await database.query(`REFRESH MATERIALIZED VIEW ${view}`).then(
      () => ({}),
      (cause: unknown) => cause as Record<string, unknown>,
    );
    const all = Object.getOwnPropertyNames(error).map((each) => String(error[each as never]));
    if (!all.join(' ').includes(MARKER)) {
      silent.push(name);
    }
  }
  expect(silent).toEqual(SILENT);
});

/** All modes or, if only a sample runs, one mode for each leak in turn. */
function modesOf(position: number): readonly [string, RefreshOptions][] {
  const modes: [string, RefreshOptions][] = [
    ['blocking', { mode: 'blocking' }],
    ['concurrent', { mode: 'concurrently' }],
    ['by swap', { mode: 'swap' }],
  ];
  return oneIn(3, modes, position % 3);
}

describe.each(quick)('%s', (_, position) => {
  const view = views[position] as (typeof views)[number];

  it.each(modesOf(position))(
    'is not in the error of a refresh that is %s',
    async (mode, options) => {
      const error = await failureOf(() => refreshes.refresh(view, options));
      expectNoRowData(error);
      if (mode === 'blocking') {
        const { cause } = error as { cause: { originalMessage?: string; detail?: string } };
        expect(Object.keys(cause)).not.toContain('originalMessage');
      }
    },
  );

  it('is not in the error of a refresh in a transaction, after one, or of a graph', async () => {
    await dataSource.transaction(async (manager) => {
      expectNoRowData(await failureOf(() => refreshes.refresh(view, { manager })));
    });
    expectNoRowData(await failureOf(() => refreshes.after(() => Promise.resolve(), [view])));
    const report = await refreshes.refreshMany([view], { throwOnFailure: false });
    expect(report.counts.failed).toBe(1);
    expectNoRowData(report);
  });

  it('is not in what can be read about the view', async () => {
    expectNoRowData(await failureOf(() => refreshes.drift(view)));
    expectNoRowData(await refreshes.status(view), await refreshes.history(view));
  });
});

describe.each(oneIn(3, quick))('%s, at a boot', (_, position) => {
  it('is not in the error of a boot that creates or changes the view', async () => {
    const leak = LEAKS[position] as Leak;
    const name = `${quoted(SCHEMA)}.${quoted(viewNameOf(position))}`;
    // Half of the views are changed; the others are created.
    if (position % 2 === 0) {
      await database.query(`DROP MATERIALIZED VIEW ${name}`);
    }
    const declared = { views: [viewOf(leak, position, 'w')], stateSchema: 'Own "state"' };
    expectNoRowData(await failureOf(() => bootWith(database, declared)));
  });
});

it('is in nothing about many views, some of which are retried', async () => {
  expectNoRowData(await failureOf(() => refreshes.refreshAll({ concurrency: 8 })));
  expectNoRowData(await refreshes.statusAll());
}, 120_000);

describe('what people see', () => {
  it('has none on the pages of the dashboard', async () => {
    const routes = new DashboardRoutes(
      { path: '/materialized-views', isReadOnly: false },
      new DashboardReader(refreshes, app.get(SchemaService)),
      new DashboardActions(refreshes),
    );
    const names = cases.map(([, position]) => `${SCHEMA}.${viewNameOf(position)}`);
    for (const { method, path, answer } of routes.all()) {
      const isOfView = path.endsWith('view') || path === 'confirm';
      for (const view of method === 'GET' ? names.slice(0, isOfView ? undefined : 1) : []) {
        const query = new URLSearchParams({
          ...(isOfView && { source: 'default', view }),
          action: 'refresh',
        });
        const { status, body } = await answer({ method, path, query, headers: {} });
        expect({ path, status }).toEqual({ path, status: 200 });
        expectNoRowData(body);
      }
    }
  });

  it('has none in metrics, health, and the answers of the command line', async () => {
    const registry = new Registry();
    const metrics = registerMetrics(refreshes, { registry });
    const statuses = await refreshes.statusAll();
    const source = managed(app);
    expectNoRowData(
      await registry.metrics(),
      statuses.map((status) => judge(status, {})),
      await check(source, { freshness: true }),
      await doctor(source),
      await explain(source, []),
    );
    metrics.stop();
    expectNoRowData(await failureOf(() => check(source, { data: true })));
  });
});

describe('indexes', () => {
  const columns = ['id', 'secret'];
  const declare = (name: string, expression: string, index: object) =>
    defineMaterializedView({
      name,
      schema: SCHEMA,
      expression,
      columns,
      indexes: [{ name: `${name}_index`, keys: ['secret'], unique: true, ...index }],
    });
  const KINDS: [string, object][] = [
    ['a unique key', {}],
    ['an expression', { keys: [{ expression: 'secret::int' }], unique: false }],
    ['a predicate', { where: 'secret::int > 0', unique: false }],
    ['a function', { keys: [{ expression: 'row_data_cast(secret)' }], unique: false }],
  ];

  it.each(KINDS)('%s of a row is in no error', async (kind, index) => {
    const name = `indexed_${KINDS.findIndex(([each]) => each === kind)}`;
    await database.query(`
      CREATE OR REPLACE FUNCTION public.row_data_cast(v text) RETURNS int IMMUTABLE LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION '%', v; END $$;
      CREATE TABLE ${name}_source (id int, secret text)`);
    const view = declare(name, `SELECT id, secret FROM ${name}_source`, index);
    const second = { name: `${name}_id`, keys: ['id'], unique: true };
    const options = { views: [view], stateSchema: `${name}_state` };
    const other = await bootWith(database, options);
    try {
      await database.query(`
        CREATE UNIQUE INDEX ${second.name} ON ${quoted(SCHEMA)}.${name} (id);
        INSERT INTO ${name}_source VALUES (1, '${MARKER}'), (2, '${MARKER}')`);
      const service = other.get(RefreshService);
      for (const mode of (['blocking', 'concurrently', 'swap'] as const).map((each) => ({
        mode: each,
      }))) {
        expectNoRowData(await failureOf(() => service.refresh(view, mode)));
      }
      expectNoRowData(await service.history(view), await service.status(view));
      await other.get(SchemaService).drop(view);
      const plan = await other.get(SchemaService).plan();
      expectNoRowData(plan, await failureOf(() => other.get(SchemaService).apply(plan)));
    } finally {
      await other.close();
    }
  });
});

describe('alterTable', () => {
  it('names no value of a row if a view cannot be filled again', async () => {
    const view = defineMaterializedView({
      name: 'altered "View"',
      schema: SCHEMA,
      expression: 'SELECT id, secret::int AS v FROM altered',
      columns: ['id', 'v'],
    });
    await database.query('CREATE TABLE altered (id int, secret text)');
    const other = await bootWith(database, { views: [view], stateSchema: 'altered_state' });
    try {
      await database.query(`INSERT INTO altered VALUES (1, '${MARKER}')`);
      const work = (): Promise<void> => Promise.resolve();
      expectNoRowData(await failureOf(() => other.get(SchemaService).alterTable('altered', work)));
      const runner = other.get<DataSource>(getDataSourceToken()).createQueryRunner();
      const options = { stateSchema: 'altered_state' };
      expectNoRowData(await failureOf(() => alterTable(runner, 'altered', work, options)));
      await runner.release();
    } finally {
      await other.close();
    }
  });
});

it('nothing that was logged, published or stored holds a value of a row', async () => {
  expect(said.length).toBeGreaterThan(LEAKS.length);
  expectNoRowData(...said);
  const stored = await database.query(
    `SELECT to_jsonb(h)::text AS row FROM "Own ""state""".refresh_history h
     UNION ALL SELECT to_jsonb(s)::text FROM "Own ""state""".view_state s`,
  );
  expect(stored.length).toBeGreaterThan(LEAKS.length);
  expectNoRowData(stored);
});
