import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { escapeLiteral } from 'pg';
import { RefreshService, SchemaService } from '../../../lib/index.js';
import { RunningApp } from '../../support/running-app.js';
import { bootWith } from '../../support/test-app.js';
import { sampleOf } from '../../support/matrix.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const Texts = viewClass({
  schema: 'Odd schema',
  name: 'texts "of" values',
  expression: `SELECT id, (amount / 3.0::float8)::text AS amount, made::text AS made FROM public.entries`,
  columns: ['id', 'amount', 'made'],
  key: ['id'],
  refresh: { on: 'sources', debounce: 0 },
});

/** Each group is set for the database or the role, as a DBA could, except settings that the server doesn't know. */
const GROUPS: [what: string, settings: Record<string, string>][] = [
  ['quoting', { quote_all_identifiers: 'on', standard_conforming_strings: 'off' }],
  ['texts', { extra_float_digits: '-15', DateStyle: 'German', IntervalStyle: 'sql_standard' }],
  ['comparison', { transform_null_equals: 'on', array_nulls: 'off', exit_on_error: 'on' }],
  [
    'transactions',
    {
      default_transaction_isolation: 'serializable',
      default_transaction_read_only: 'on',
      default_transaction_deferrable: 'on',
    },
  ],
  ['planning', { jit_above_cost: '0', enable_seqscan: 'off', enable_indexscan: 'off' }],
  ['rights', { row_security: 'off', check_function_bodies: 'off' }],
  ['storage', { default_table_access_method: 'other', default_tablespace: 'in_place' }],
  ['triggers', { session_replication_role: 'replica', event_triggers: 'off' }],
  [
    'limits',
    {
      statement_timeout: '500ms',
      lock_timeout: '1ms',
      idle_in_transaction_session_timeout: '1s',
      transaction_timeout: '1s',
      idle_session_timeout: '1s',
    },
  ],
  [
    'output',
    {
      bytea_output: 'escape',
      xmlbinary: 'hex',
      xmloption: 'document',
      TimeZone: 'America/Nuuk',
      client_min_messages: 'debug5',
      client_encoding: 'LATIN1',
      backslash_quote: 'off',
      escape_string_warning: 'on',
    },
  ],
  [
    'plans',
    {
      plan_cache_mode: 'force_custom_plan',
      constraint_exclusion: 'on',
      from_collapse_limit: '1',
      join_collapse_limit: '1',
      geqo_threshold: '2',
      force_parallel_mode: 'on',
      debug_parallel_query: 'on',
      parallel_setup_cost: '0',
      parallel_tuple_cost: '0',
      min_parallel_table_scan_size: '0',
      work_mem: '64kB',
    },
  ],
  [
    'statistics and restrictions',
    {
      restrict_nonsystem_relation_kind: 'view, foreign-table',
      track_activities: 'off',
      track_counts: 'off',
      stats_fetch_consistency: 'snapshot',
      synchronous_commit: 'off',
      default_statistics_target: '1',
    },
  ],
  ['PL/pgSQL', { 'plpgsql.extra_errors': 'all', 'plpgsql.variable_conflict': 'use_variable' }],
];

describe('settings of the database', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;

  beforeEach(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE TABLE public.entries (id int, amount float8, made timestamptz)`);
    await database.query(`INSERT INTO public.entries VALUES (1, 1, '2026-01-02T03:04:05Z')`);
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
    await database.drop();
  });

  /** The access methods and tablespaces of the library's own tables. */
  const tableKinds = (): Promise<unknown[]> =>
    database.query(
      `SELECT DISTINCT a.amname, s.spcname
       FROM pg_class c
       JOIN pg_am a ON a.oid = c.relam
       LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
       WHERE c.relnamespace = 'materialized_views'::regnamespace AND c.relkind = 'r'`,
    );

  const start = async (): Promise<RefreshService> => {
    app = await bootWith(database, { views: [Texts], synchronize: true });
    return app.get(RefreshService);
  };

  /** Creates what the settings name. Returns the settings that the server knows. */
  const prepare = async (settings: Record<string, string>): Promise<Record<string, string>> => {
    const known = await database.query<{ name: string }>('SELECT name FROM pg_settings');
    const names = new Set(known.map(({ name }) => name));
    const isKnown = (name: string): boolean =>
      name.includes('.') ||
      (names.has(name) &&
        // Before PostgreSQL 15, a tablespace needs a directory of its own.
        (name !== 'default_tablespace' || names.has('allow_in_place_tablespaces')));
    const kept = Object.entries(settings).filter(([name]) => isKnown(name));
    if (kept.some(([name]) => name === 'default_table_access_method')) {
      await database.query('CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler');
    }
    if (kept.some(([name]) => name === 'default_tablespace')) {
      await database.query('SET allow_in_place_tablespaces = on');
      await database.query(`CREATE TABLESPACE in_place LOCATION ''`).catch(() => undefined);
    }
    return Object.fromEntries(kept);
  };

  const HOW = ['DATABASE', 'ROLE'];

  const cases = GROUPS.flatMap(([what, settings]) =>
    HOW.map((how) => [what, how, settings] as const),
  );

  it.each(sampleOf(cases))('about %s of the %s break nothing', async (_, how, settings) => {
    const whose =
      how === 'ROLE'
        ? `ROLE current_user IN DATABASE ${database.name}`
        : `DATABASE ${database.name}`;
    for (const [name, value] of Object.entries(await prepare(settings))) {
      await database.query(`ALTER ${whose} SET ${name} = ${escapeLiteral(value)}`);
    }
    const before = Date.now();
    const refreshes = await start();
    const running = new RunningApp(app as TestingModule, {} as RunningApp['release']);
    await database.query(`INSERT INTO public.entries VALUES (2, 3, '2026-07-02T03:04:05Z')`);
    expect(await running.look()).toBe(1);
    const [definition] = running.definitions;
    expect(definition && (await running.tick(definition))).toBe('refreshed');
    expect(await tableKinds()).toEqual([{ amname: 'heap', spcname: null }]);
    for (const mode of ['concurrently', 'blocking', 'swap'] as const) {
      const result = await refreshes.refresh(Texts, { mode });
      expect(result).toMatchObject({ outcome: 'refreshed' });
    }
    await refreshes.status(Texts);
    // An instant that has lost its last digits would be years off.
    const [last] = await refreshes.history(Texts);
    expect(Math.abs(Number(last?.startedAt) - before)).toBeLessThan(3_600_000);
    expect(await refreshes.drift(Texts)).toMatchObject({ isDrifted: false });
    const session = await database.session();
    const expected = await session.query(
      `SELECT (amount / 3.0::float8)::text AS amount, made::text AS made FROM public.entries`,
    );
    await session.end();
    expect(
      await database.query(`SELECT amount, made FROM "Odd schema"."texts ""of"" values"`),
    ).toEqual(expected.rows);
    expect(await app?.get(SchemaService).diff()).toEqual([]);
  });

  it('about a tablespace move no view that is refreshed by swap', async () => {
    await (await start()).refresh(Texts);
    await app?.close();
    for (const [name, value] of Object.entries(await prepare({ default_tablespace: 'in_place' }))) {
      await database.query(`ALTER DATABASE ${database.name} SET ${name} = ${escapeLiteral(value)}`);
    }
    const refreshes = await start();
    expect(await refreshes.refresh(Texts, { mode: 'swap' })).toMatchObject({ mode: 'swap' });
    expect(
      await database.query(
        `SELECT DISTINCT reltablespace AS place FROM pg_class WHERE relnamespace = '"Odd schema"'::regnamespace`,
      ),
    ).toEqual([{ place: 0 }]);
  });
});
