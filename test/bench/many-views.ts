import { channel } from 'node:diagnostics_channel';
import {
  MaterializedViewChannels,
  RefreshService,
  type SyncReport,
  type ViewClass,
} from '../../lib/index.js';
import { type PendingRow, selectPending } from '../../lib/postgres/pending.sql.js';
import { PendingMemory } from '../../lib/tracking/pending-memory.js';
import { managed } from '../support/managed.js';
import type { TestDatabase } from '../support/test-database.js';
import { viewClass } from '../support/view-class.js';
import { withApp } from './bench-app.js';
import type { CountTable } from './benchmark.js';

const LOOK_COUNT = 9;
const BOOT_COUNT = 3;
const STATE = 'materialized_views';

/** Views that each read a table of their own. */
function viewsOfTables(schema: string, count: number): ViewClass[] {
  return Array.from({ length: count }, (_, index) =>
    viewClass({
      ...{ schema, name: `view_${index}`, columns: ['id', 'name'], key: ['id'] },
      expression: `SELECT id, name FROM ${schema}_tables.t_${index}`,
      refresh: { on: 'sources' },
    }),
  );
}

async function createTables(database: TestDatabase, schema: string, count: number): Promise<void> {
  await database.query(`CREATE SCHEMA ${schema}_tables`);
  for (let from = 0; from < count; from += 100) {
    await database.query(`DO $$ BEGIN FOR n IN ${from}..${Math.min(count, from + 100) - 1} LOOP
      EXECUTE format('CREATE TABLE ${schema}_tables.t_%s (id int PRIMARY KEY, name text, v int, at timestamptz)', n);
    END LOOP; END $$`);
  }
  await database.query('VACUUM ANALYZE');
}

/** Measures the server's time for a poll that finds no changes, and for one after a write to one table. */
export async function measureLooks(database: TestDatabase, count: number): Promise<CountTable> {
  const views = viewsOfTables('looked', count);
  await createTables(database, 'looked', count);
  return withApp(database.url, views, async (app) => {
    await app.get(RefreshService).refreshAll({ concurrency: 4 });
    const source = managed(app);
    const definitions = source.views.all();
    const memory = new PendingMemory(STATE, definitions);
    const whole = (): Promise<number> =>
      source.database.bookkeeping(async (session) => {
        const question = selectPending(
          STATE,
          definitions.map(({ name }) => name),
        );
        const rows = await session.query<PendingRow>(question);
        return Math.max(...rows.map(({ took_ms }) => took_ms));
      });
    const look = (): Promise<number> =>
      source.database.bookkeeping(async (session) => (await memory.look(session)).tookMs);
    const write = async (): Promise<number> => {
      await database.query(`INSERT INTO looked_tables.t_1 SELECT count(*) FROM looked_tables.t_1`);
      return look();
    };
    await look();
    await look();
    return table(`Looking at ${count} views, ms of the server`, {
      'asking about each': await times(LOOK_COUNT, whole),
      'a look where nothing has changed': await times(LOOK_COUNT, look),
      'a look after a write to one table': await times(LOOK_COUNT, write),
    });
  });
}

/** Measures the first boot, which creates views in batches with the server's default lock limit, and boots after it. */
export async function measureBoots(database: TestDatabase, count: number): Promise<CountTable> {
  const views = viewsOfTables('booted', count);
  await createTables(database, 'booted', count);
  const boot = async (): Promise<number[]> => {
    const reports: SyncReport[] = [];
    const take = (report: unknown): number => reports.push(report as SyncReport);
    channel(MaterializedViewChannels.sync).subscribe(take);
    const startedAtMs = performance.now();
    const options = { statementTimeout: '1h', lockTimeout: '1m' } as const;
    const tookMs = await withApp(
      database.url,
      views,
      () => Promise.resolve(performance.now() - startedAtMs),
      options,
    );
    channel(MaterializedViewChannels.sync).unsubscribe(take);
    return [tookMs, reports.at(-1)?.durationMs ?? NaN];
  };
  const [firstMs = NaN] = await boot();
  const again: number[][] = [];
  for (let each = 0; each < BOOT_COUNT; each++) {
    again.push(await boot());
  }
  return table(`Booting with ${count} views, ms`, {
    'the first time': [firstMs],
    'unchanged, with Nest and TypeORM': again.map(([all = NaN]) => all),
    'of that, the library': again.map(([, own = NaN]) => own),
  });
}

async function times(count: number, work: () => Promise<number>): Promise<number[]> {
  const all: number[] = [];
  for (let call = 0; call < count; call++) {
    all.push(await work());
  }
  return all;
}

/** A table with the median and the maximum of each way. */
export function table(title: string, ways: Record<string, number[]>): CountTable {
  return {
    title,
    columns: ['median', 'slowest'],
    rows: Object.entries(ways).map(([name, ms]) => ({
      name,
      counts: [median(ms), Math.max(...ms)].map(rounded),
    })),
  };
}

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

export function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
