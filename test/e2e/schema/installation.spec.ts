import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { RefreshService } from '../../../lib/index.js';
import { VIEW_CHANGES } from '../../../lib/postgres/change.sql.js';
import { REFRESH_CONDITIONS } from '../../../lib/postgres/refresh.sql.js';
import { SOURCE_STATE } from '../../../lib/postgres/source-state.sql.js';
import { tickRequest } from '../../../lib/refresh/occasions.js';
import { definitionOf, managed } from '../../support/managed.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass, YEARLY } from '../../support/view-class.js';

/** The tables as version 1 created them. */
const VERSION_1 = [
  `CREATE TABLE materialized_views.installation (
     version int PRIMARY KEY,
     installed_at timestamptz NOT NULL DEFAULT clock_timestamp()
   )`,
  `CREATE TABLE materialized_views.view_state (
     schema_name text NOT NULL,
     view_name text NOT NULL,
     known_since timestamptz NOT NULL DEFAULT clock_timestamp(),
     last_tick timestamptz,
     last_started_at timestamptz,
     last_success_at timestamptz,
     last_run_id uuid,
     last_mode text,
     last_mode_reason text,
     watermark pg_snapshot,
     failure_count int NOT NULL DEFAULT 0,
     last_failure_at timestamptz,
     last_error_code text,
     not_before timestamptz,
     paused_at timestamptz,
     is_own boolean NOT NULL DEFAULT false,
     own_indexes text[] NOT NULL DEFAULT '{}',
     declared_hash text,
     fingerprint text,
     definition_version bigint,
     PRIMARY KEY (schema_name, view_name)
   )`,
  `CREATE TABLE materialized_views.refresh_history (
     run_id uuid PRIMARY KEY,
     schema_name text NOT NULL,
     view_name text NOT NULL,
     trigger text NOT NULL,
     tick timestamptz,
     outcome text NOT NULL,
     attempt int NOT NULL DEFAULT 1,
     mode text,
     mode_reason text,
     inserted_count bigint,
     deleted_count bigint,
     started_at timestamptz NOT NULL,
     finished_at timestamptz NOT NULL,
     duration_ms float8 GENERATED ALWAYS AS (extract(epoch FROM finished_at - started_at) * 1000) STORED,
     error_code text,
     error_message text,
     host text NOT NULL
   )`,
  `CREATE INDEX refresh_history_view ON materialized_views.refresh_history (schema_name, view_name, started_at DESC)`,
  `INSERT INTO materialized_views.installation (version) VALUES (1)`,
];

/** The changes of version 2, with stubs in place of its functions. */
const VERSION_2 = [
  `ALTER TABLE materialized_views.view_state
     ADD COLUMN last_unchanged_at timestamptz,
     ADD COLUMN source_signature text,
     ADD COLUMN capture jsonb`,
  `CREATE TABLE materialized_views.change_log (
     xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
     changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
     source oid NOT NULL,
     kind text NOT NULL
   )`,
  `ALTER TABLE materialized_views.change_log REPLICA IDENTITY FULL`,
  `CREATE INDEX change_log_source ON materialized_views.change_log (source, xid)`,
  ...['log_changed_rows', 'log_truncate'].map(
    (name) => `CREATE FUNCTION materialized_views.${name}() RETURNS trigger LANGUAGE plpgsql
     AS 'BEGIN RETURN NULL; END'`,
  ),
  ...['source_state', 'view_changes', 'refresh_conditions'].map(
    (name) => `CREATE FUNCTION materialized_views.${name}() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
  ),
  `INSERT INTO materialized_views.installation (version) VALUES (2)`,
];

/** Foreign operators and a function that PostgreSQL may prefer: a better type match, or earlier in search_path. */
const HIJACKED = [
  'CREATE SEQUENCE public.trapped',
  ...['numeric', 'float8'].flatMap((type) => [
    `CREATE FUNCTION public.evil(a ${type}, b int) RETURNS ${type} LANGUAGE sql
     AS $f$ SELECT nextval('public.trapped')::${type} $f$ IMMUTABLE`,
    `CREATE OPERATOR public.* (LEFTARG = ${type}, RIGHTARG = int, FUNCTION = public.evil)`,
  ]),
  `CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql
   AS $f$ SELECT '2000-01-01Z'::timestamptz FROM (SELECT nextval('public.trapped')) AS t $f$`,
];

const DURATION_ATTRIBUTE = `SELECT attnum FROM pg_attribute
  WHERE attrelid = 'materialized_views.refresh_history'::regclass AND attname = 'duration_ms'`;

/** What a process of version 1 writes after a refresh. */
const SUCCESS_OF_VERSION_1 = `WITH state AS (
  INSERT INTO materialized_views.view_state AS s
    (schema_name, view_name, last_tick, last_started_at, last_success_at, last_run_id, watermark, last_mode, last_mode_reason)
  VALUES ($1, $2, now(), now(), now(), gen_random_uuid(), pg_current_snapshot(), 'blocking', 'requested')
  ON CONFLICT (schema_name, view_name) DO UPDATE
  SET last_tick = excluded.last_tick,
      last_started_at = excluded.last_started_at,
      last_success_at = excluded.last_success_at,
      last_run_id = excluded.last_run_id,
      watermark = excluded.watermark,
      last_mode = excluded.last_mode,
      last_mode_reason = excluded.last_mode_reason,
      failure_count = 0,
      not_before = NULL
)
INSERT INTO materialized_views.refresh_history
  (run_id, schema_name, view_name, started_at, finished_at, outcome, trigger, mode, mode_reason, host)
VALUES (gen_random_uuid(), $1, $2, now(), now(), 'refreshed', 'demand', 'blocking', 'requested', 'old:1')`;

const NAME = { schema: 'Odd schema', name: 'orders "by" day' };

const Orders = viewClass({
  ...NAME,
  expression: 'SELECT count(*) AS id FROM public.orders',
  refresh: { cron: YEARLY, skipUnchanged: true },
});

const OTHER = { schema: 'public', name: 'plain' };
const Plain = viewClass({ ...OTHER, expression: 'SELECT id FROM public.orders' });

describe('installation', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;

  beforeEach(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE orders (id int)');
    await database.query('CREATE SCHEMA "Odd schema"');
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
    await database.drop();
  });

  const restart = async (): Promise<void> => {
    await app?.close();
    app = await bootWith(database, { views: [Orders, Plain] });
  };

  /** Refreshes the view as its schedule does. */
  const tick = async (): Promise<string> => {
    const definition = definitionOf(app!, Orders);
    const request = { ...tickRequest(definition, new Date()), tick: undefined };
    return (await managed(app!).refresher.runner.run(request)).outcome;
  };

  const history = (): Promise<{ outcome: string; host: string }[]> =>
    database.query(
      `SELECT outcome, host FROM materialized_views.refresh_history WHERE view_name = $1 ORDER BY finished_at`,
      [NAME.name],
    );

  const versions = async (): Promise<number[]> =>
    (
      await database.query<{ version: number }>(
        'SELECT version FROM materialized_views.installation ORDER BY version',
      )
    ).map(({ version }) => version);

  /** The state after a process of version 1 created both views and refreshed one. */
  const installVersion1 = async (): Promise<void> => {
    await database.query('CREATE SCHEMA materialized_views');
    for (const statement of VERSION_1) {
      await database.query(statement);
    }
    await database.query(
      `CREATE MATERIALIZED VIEW "Odd schema"."orders ""by"" day" AS SELECT count(*) AS id FROM public.orders`,
    );
    await database.query('CREATE MATERIALIZED VIEW public.plain AS SELECT id FROM public.orders');
    await database.query(
      `INSERT INTO materialized_views.view_state (schema_name, view_name, known_since, is_own, paused_at)
       VALUES ($1, $2, '2026-01-01Z', true, NULL), ('public', 'plain', '2026-01-01Z', true, now())`,
      [NAME.schema, NAME.name],
    );
    await database.query(SUCCESS_OF_VERSION_1, [NAME.schema, NAME.name]);
  };

  it('upgrades version 1 and keeps its data', async () => {
    await installVersion1();
    const views = await database.query(
      `SELECT oid FROM pg_class WHERE relkind = 'm' ORDER BY relname`,
    );

    await restart();

    expect(await versions()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(
      await database.query(`SELECT oid FROM pg_class WHERE relkind = 'm' ORDER BY relname`),
    ).toEqual(views);
    expect(
      await database.query(
        `SELECT view_name, known_since, paused_at IS NOT NULL AS is_paused
         FROM materialized_views.view_state ORDER BY view_name`,
      ),
    ).toEqual([
      { view_name: NAME.name, known_since: new Date('2026-01-01Z'), is_paused: false },
      { view_name: 'plain', known_since: new Date('2026-01-01Z'), is_paused: true },
    ]);
    expect(await tick()).toBe('refreshed');
    expect(await tick()).toBe('skipped');
    await database.query('INSERT INTO orders VALUES (1)');
    expect(await tick()).toBe('refreshed');
    expect((await history()).map(({ outcome, host }) => [outcome, host === 'old:1'])).toEqual([
      ['refreshed', true],
      ['refreshed', false],
      ['refreshed', false],
    ]);
    await app!.get(RefreshService).refresh(Plain);
  });

  it('does not count a view as unchanged that a process of version 1 refreshed', async () => {
    await installVersion1();
    await restart();
    expect(await tick()).toBe('refreshed');
    expect(await tick()).toBe('skipped');

    await database.query(`REFRESH MATERIALIZED VIEW "Odd schema"."orders ""by"" day"`);
    await database.query(SUCCESS_OF_VERSION_1, [NAME.schema, NAME.name]);

    expect(await tick()).toBe('refreshed');
    expect(await tick()).toBe('skipped');
  });

  it.each([
    'DROP TABLE materialized_views.change_log',
    'DROP FUNCTION materialized_views.log_changed_rows CASCADE',
    'DROP FUNCTION materialized_views.log_truncate CASCADE',
    `DROP FUNCTION materialized_views.${SOURCE_STATE.name}`,
    `DROP FUNCTION materialized_views.${VIEW_CHANGES.name}`,
    `DROP FUNCTION materialized_views.${REFRESH_CONDITIONS.name}`,
    'DROP FUNCTION materialized_views.wake_up',
    // Columns that an older process does not create.
    'ALTER TABLE materialized_views.view_state DROP capture, DROP source_signature, DROP last_unchanged_at, DROP applications, DROP relation_kind, DROP depends_on',
  ])('repairs: %s', async (statement) => {
    await restart();
    expect(await tick()).toBe('refreshed');
    const before = await database.query(
      'SELECT known_since FROM materialized_views.view_state ORDER BY view_name',
    );

    await database.query('INSERT INTO orders VALUES (0)');
    await database.query(statement);
    await restart();

    expect(
      await database.query(
        'SELECT known_since FROM materialized_views.view_state ORDER BY view_name',
      ),
    ).toEqual(before);
    expect(await tick()).toBe('refreshed');
    expect(await tick()).toBe('skipped');
    await database.query('INSERT INTO orders VALUES (1)');
    expect(await tick()).toBe('refreshed');
    expect(await versions()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  /** The tables of version 2, created under the given search_path, which may contain foreign objects. */
  const installVersion2 = async (searchPath?: string): Promise<void> => {
    const set = searchPath === undefined ? 'RESET search_path' : `SET search_path = ${searchPath}`;
    await database.query('CREATE SCHEMA materialized_views');
    await database.query([set, ...VERSION_1, ...VERSION_2].join(';'));
    await database.query(SUCCESS_OF_VERSION_1, [NAME.schema, NAME.name]);
    await database.query('RESET search_path');
  };

  const trapped = async (): Promise<boolean> =>
    (await database.query<{ is_called: boolean }>('SELECT is_called FROM public.trapped'))[0]!
      .is_called;

  describe('a column that PostgreSQL computes', () => {
    it.each([undefined, 'public, pg_catalog'])(
      'loses foreign operators, with the search_path %p',
      async (searchPath) => {
        for (const statement of HIJACKED) {
          await database.query(statement);
        }
        await installVersion2(searchPath);
        await database.query(
          `UPDATE materialized_views.refresh_history SET finished_at = started_at OPERATOR(pg_catalog.+) '1.5 s'::interval`,
        );
        expect(await trapped()).toBe(true);
        await database.query(`SELECT setval('public.trapped', 1, false)`);

        await restart();

        const [old] = await database.query('SELECT * FROM materialized_views.refresh_history');
        expect(old).toMatchObject({ duration_ms: 1500, host: 'old:1' });
        await database.query(SUCCESS_OF_VERSION_1, ['public', 'other']);
        await app!.get(RefreshService).refresh(Plain);
        expect(await trapped()).toBe(false);
        const [run] = await app!.get(RefreshService).history(Plain);
        expect(run?.durationMs).toBeGreaterThan(0);
        expect(await versions()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
        const attribute = await database.query(DURATION_ATTRIBUTE);
        await restart();
        expect(await database.query(DURATION_ATTRIBUTE)).toEqual(attribute);
      },
    );

    it('is left alone, and its table not even locked against readers, if it has only those of PostgreSQL', async () => {
      await installVersion2();
      const before = await database.query(DURATION_ATTRIBUTE);
      const reader = await database.session();
      await reader.query('BEGIN');
      await reader.query('LOCK TABLE materialized_views.refresh_history IN ACCESS SHARE MODE');
      await restart();
      await reader.query('COMMIT');
      await reader.end();
      expect(await database.query(DURATION_ATTRIBUTE)).toEqual(before);
      expect(await versions()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    });

    it.each(['refresh_history', 'view_state'])(
      'is repaired while an older process is writing %s',
      async (table) => {
        for (const statement of HIJACKED) {
          await database.query(statement);
        }
        await installVersion2();
        const writer = await database.session();
        await writer.query('BEGIN');
        await writer.query(`LOCK TABLE materialized_views.${table} IN ROW EXCLUSIVE MODE`);
        const started = restart();
        await database.until(
          `SELECT FROM pg_locks WHERE relation = $1::text::regclass AND NOT granted`,
          [`materialized_views.${table}`],
        );
        await writer.query('COMMIT');
        await started;
        await writer.query(SUCCESS_OF_VERSION_1, ['public', 'other']);
        await writer.end();
        expect(await versions()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
      },
    );
  });

  describe('a function', () => {
    const functions = (): Promise<{ name: string; body: string; xmin: string }[]> =>
      database.query(
        `SELECT proname AS name, prosrc AS body, xmin FROM pg_proc
         WHERE pronamespace = 'materialized_views'::regnamespace ORDER BY proname`,
      );

    const own = async (): Promise<string[]> =>
      (await functions()).map(({ name }) => name.replace(/_[0-9a-f]{8}$/, ' #'));

    it('has a hash of its text in its name, unless triggers of all releases execute it', async () => {
      await restart();
      expect(await own()).toEqual([
        'ask_lease #',
        'claim_ticks #',
        'last_cron_tick #',
        'log_changed_rows',
        'log_truncate',
        'look_state #',
        'refresh_by_pg_cron #',
        'refresh_conditions #',
        'source_state #',
        'view_changes #',
        'wake_up',
      ]);
    });

    it('of a previous release stays for its processes', async () => {
      await installVersion2();
      await restart();
      expect(await own()).toEqual(
        expect.arrayContaining(['refresh_conditions', 'source_state', 'view_changes']),
      );
    });

    it.each([
      'log_changed_rows',
      'log_truncate',
      'look_state',
      'wake_up',
      'source_state',
      'view_changes',
      'refresh_conditions',
    ])('gets the right text again: %s', async (name) => {
      await restart();
      expect(await tick()).toBe('refreshed');
      const before = await functions();
      const wrong = before.find((each) => each.name.startsWith(name))!;
      const [{ definition }] = (await database.query<{ definition: string }>(
        `SELECT pg_get_functiondef(oid) AS definition FROM pg_proc WHERE proname = $1`,
        [wrong.name],
      )) as [{ definition: string }];
      await database.query(definition.replace('BEGIN', 'BEGIN /* edited */'));

      await restart();

      const texts = (rows: typeof before): string[] => rows.map(({ body }) => body);
      expect(texts(await functions())).toEqual(texts(before));
      await tick();
      expect(await tick()).toBe('skipped');
      await database.query('INSERT INTO orders VALUES (1)');
      expect(await tick()).toBe('refreshed');
    });

    it('that triggers execute keeps the text of a newer release', async () => {
      await restart();
      await database.query(`INSERT INTO materialized_views.installation (version) VALUES (1000)`);
      const [{ definition }] = (await database.query<{ definition: string }>(
        `SELECT pg_get_functiondef('materialized_views.log_truncate'::regproc) AS definition`,
      )) as [{ definition: string }];
      await database.query(definition.replace('BEGIN', 'BEGIN /* newer */'));
      const before = await functions();
      await restart();
      expect(await functions()).toEqual(before);
    });

    it('is not created again at each boot', async () => {
      await restart();
      const before = await functions();
      await restart();
      expect(await functions()).toEqual(before);
    });
  });
});
