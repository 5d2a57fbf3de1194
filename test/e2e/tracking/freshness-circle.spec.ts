import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { RefreshService } from '../../../lib/index.js';
import { holdMs } from '../../../lib/schedule/refresh-rounds.js';
import { Releases } from '../../support/releases.js';
import { RunningApp } from '../../support/running-app.js';
import { TestDatabase } from '../../support/test-database.js';
import type { TestView } from '../../support/view-class.js';

const SCHEMA = 'Odd schema';
const ON = { on: 'sources' as const, debounce: 0 };
const view = (name: string, expression: string, more: Partial<TestView> = {}): TestView => ({
  schema: SCHEMA,
  name,
  expression,
  refresh: ON,
  ...more,
});
const quoted = (name: string): string => `"${SCHEMA}"."${name.replaceAll('"', '""')}"`;

/** An event trigger: each refresh of one of the views writes a row into the table. */
const writesDuring = (trigger: string, views: string[], table: string): string => `
CREATE FUNCTION ${trigger}() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT FROM pg_event_trigger_ddl_commands() c
    WHERE c.object_identity = ANY (ARRAY[${views.map((name) => `'${quoted(name)}'`).join(', ')}])
  ) THEN
    INSERT INTO public.${table} VALUES (1);
  END IF;
END $$;
CREATE EVENT TRIGGER ${trigger} ON ddl_command_end WHEN TAG IN ('REFRESH MATERIALIZED VIEW')
  EXECUTE FUNCTION ${trigger}();`;

interface Circle {
  what: string;
  views: TestView[];
  /** Closes the circle after the boot. */
  closed: string;
  /** An ordinary write to what the first view reads. */
  write: string;
}

const log = view('of "log"', 'SELECT count(*) AS id FROM public.ddl_log');

const CIRCLES: Circle[] = [
  {
    what: 'an event trigger logs into what the view reads',
    views: [log],
    closed: writesDuring('logging', ['of "log"'], 'ddl_log'),
    write: 'INSERT INTO ddl_log VALUES (2)',
  },
  {
    what: 'two views write what the other reads',
    views: [log, view('B', 'SELECT count(*) AS id FROM public.items')],
    closed: writesDuring('one', ['of "log"'], 'items') + writesDuring('two', ['B'], 'ddl_log'),
    write: 'INSERT INTO ddl_log VALUES (2)',
  },
  {
    what: 'a view above writes what the view below reads',
    views: [log, view('Above', `SELECT id FROM ${quoted('of "log"')}`)],
    closed: writesDuring('logging', ['Above'], 'ddl_log'),
    write: 'INSERT INTO ddl_log VALUES (2)',
  },
  {
    what: 'three views that read one log write it',
    views: ['X', 'Y', 'Z'].map((name) => view(name, 'SELECT count(*) AS id FROM public.ddl_log')),
    closed: writesDuring('logging', ['X', 'Y', 'Z'], 'ddl_log'),
    write: 'INSERT INTO ddl_log VALUES (2)',
  },
  {
    what: 'a function in the query writes',
    views: [
      view('noting', 'SELECT public.note(1) AS id', {
        refresh: { on: ['public.ddl_log'], debounce: 0 },
      }),
    ],
    closed: 'INSERT INTO ddl_log VALUES (0)',
    write: 'INSERT INTO ddl_log VALUES (2)',
  },
];

describe('refreshes that write what they read', () => {
  let database: TestDatabase;
  let releases: Releases;

  beforeEach(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE ddl_log (id int)');
    await database.query('CREATE TABLE items (id int)');
    await database.query(`CREATE FUNCTION note(int) RETURNS int VOLATILE LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.ddl_log VALUES ($1);
  RETURN (SELECT count(*) FROM public.ddl_log);
END $$`);
    releases = new Releases(database);
  });

  afterEach(async () => {
    await releases.end();
    await database.drop();
  });

  const start = async (views: TestView[]): Promise<RunningApp> => {
    await releases.start(views);
    return another();
  };
  /** Another process with the same release. */
  const another = (): RunningApp =>
    new RunningApp(releases.module, { synchronize: true } as RunningApp['release']);
  /** Polls `count` times, by the apps in turn. Returns the number of refreshes. */
  const looks = async (count: number, ...apps: RunningApp[]): Promise<number> => {
    let refreshed = 0;
    for (let at = 0; at < count; at++) {
      refreshed += (await apps[at % apps.length]?.look()) ?? 0;
    }
    return refreshed;
  };
  const warned = (): string[] =>
    releases.warnings.filter((each) => each.includes('each one triggers the next'));
  /** Moves all changes and refreshes into the past, as if this much time had passed. */
  const pass = (ms: number): Promise<unknown> =>
    database.query(
      `UPDATE materialized_views.view_state SET last_started_at = last_started_at - ${ms} * interval '1 ms';
       UPDATE materialized_views.change_log SET changed_at = changed_at - ${ms} * interval '1 ms'`,
    );

  it.each(CIRCLES)('slow down, with one warning each: $what', async ({ views, closed, write }) => {
    const app = await start(views);
    await looks(3, app);
    await database.query(closed);
    await database.query(write);
    // A circle that has slowed down goes on after a pause, but does at most one more round in so short a time.
    const most = 8 * views.length;
    const refreshed = await looks(3 * most, app);
    expect(refreshed).toBeGreaterThan(0);
    expect(refreshed).toBeLessThanOrEqual(most);
    expect(await looks(3, app)).toBeLessThanOrEqual(views.length);
    const circle = warned();
    expect(circle.length).toBeGreaterThan(0);
    expect(new Set(circle).size).toBe(circle.length);

    // Another process does not speed it up.
    expect(await looks(3, another())).toBeLessThanOrEqual(views.length);
    // After a pause, it goes on.
    await pass(64_000);
    expect(await looks(6, app)).toBeGreaterThan(0);
    expect(await looks(3, app)).toBeLessThanOrEqual(views.length);
    // An ordinary write is refreshed at once.
    await database.query(write);
    expect(await app.look()).toBeGreaterThan(0);
    // Each of the two processes warns at most once about each view.
    expect(warned().length).toBeLessThanOrEqual(2 * views.length);
  });

  it('go on after the clock of the database has gone back', async () => {
    const app = await start([log]);
    await database.query(writesDuring('logging', ['of "log"'], 'ddl_log'));
    await database.query('INSERT INTO ddl_log VALUES (2)');
    await looks(20, app);
    expect(await looks(3, app)).toBeLessThanOrEqual(1);
    await pass(-3_600_000);
    await database.query(
      `UPDATE materialized_views.view_state SET last_started_at = last_started_at - interval '1 h 64 s'`,
    );
    expect(await looks(3, app)).toBeGreaterThan(0);
  });

  it('end when the trigger is dropped, and later writes are refreshed at once', async () => {
    const app = await start([log]);
    await database.query(writesDuring('logging', ['of "log"'], 'ddl_log'));
    await database.query('INSERT INTO ddl_log VALUES (2)');
    await looks(20, app);
    await database.query('DROP EVENT TRIGGER logging');
    await pass(600_000);
    expect(await looks(3, app)).toBe(1);
    for (let write = 0; write < 10; write++) {
      await database.query('INSERT INTO ddl_log VALUES (3)');
      expect(await app.look()).toBe(1);
    }
    expect(await database.query(`SELECT id::int FROM ${quoted('of "log"')}`)).toEqual(
      await database.query('SELECT count(*)::int AS id FROM ddl_log'),
    );
  });

  it('do not count as circles if each view follows one below', async () => {
    const below = (name: string): TestView => view(name, 'SELECT count(*) AS id FROM public.items');
    const tower = ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H'].map((name, at, all) =>
      at === 0 ? below(name) : view(name, `SELECT id FROM ${quoted(all[at - 1] ?? '')}`),
    );
    // Each refresh of D writes a row that another view reads.
    const app = await start([...tower, log]);
    await database.query(writesDuring('logging', ['D'], 'ddl_log'));
    await looks(20, app);
    for (let write = 0; write < 8; write++) {
      await database.query('INSERT INTO items VALUES (1)');
      expect(await looks(tower.length + 2, app)).toBe(tower.length + 1);
    }
    expect(warned()).toEqual([]);
  });

  it('do not count as circles if a call leads to each', async () => {
    const app = await start([log]);
    await database.query(writesDuring('logging', ['of "log"'], 'ddl_log'));
    const refreshes = releases.get(RefreshService);
    for (let demand = 0; demand < 10; demand++) {
      await refreshes.refresh(`${SCHEMA}.of "log"`);
      expect(await app.look()).toBe(1);
    }
    expect(warned()).toEqual([]);
  });

  it('wait twice as long each time, up to ten minutes', () => {
    expect([0, 1, 5, 6, 7, 8].map(holdMs)).toEqual([0, 0, 0, 2_000, 4_000, 8_000]);
    expect(holdMs(14)).toBe(512_000);
    expect(holdMs(15)).toBe(600_000);
    expect(holdMs(100_000)).toBe(600_000);
  });
});
