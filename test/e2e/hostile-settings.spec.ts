import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { escapeLiteral } from 'pg';
import { RefreshService, SchemaService } from '../../lib/index.js';
import { bootWith } from '../support/test-app.js';
import { TestDatabase } from '../support/test-database.js';
import { viewClass } from '../support/view-class.js';

const Texts = viewClass({
  schema: 'Odd schema',
  name: 'texts "of" values',
  expression: `SELECT id, (amount / 3.0::float8)::text AS amount, made::text AS made FROM public.entries`,
  columns: ['id', 'amount', 'made'],
  key: ['id'],
  refresh: { on: 'sources' },
});

/** Each group is set for the database, as a DBA could. */
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

  const start = async (): Promise<RefreshService> => {
    app = await bootWith(database, { views: [Texts], synchronize: true });
    return app.get(RefreshService);
  };

  it.each(GROUPS)('about %s keep nothing from working', async (_, settings) => {
    for (const [name, value] of Object.entries(settings)) {
      await database.query(`ALTER DATABASE ${database.name} SET ${name} = ${escapeLiteral(value)}`);
    }
    const before = Date.now();
    const refreshes = await start();
    for (const mode of ['concurrently', 'blocking', 'swap'] as const) {
      const result = await refreshes.refresh(Texts, { mode });
      expect(result).toMatchObject({ outcome: 'refreshed' });
    }
    await refreshes.status(Texts);
    // A number without its last digits would be an instant of another year.
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
});
