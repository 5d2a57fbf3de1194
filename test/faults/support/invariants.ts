import { expect } from '@jest/globals';
import type { Client, QueryResultRow } from 'pg';
import type { RefreshService, ViewClass } from '../../../lib/index.js';
import type { Replica } from '../../support/replica-process.js';
import { ADVISORY_LOCKS } from '../../support/test-database.js';
import { type Ledger, QUOTED_VIEW } from './ledger.js';

/*
 * What must hold after every fault:
 *
 * I1  at most one success for each (view, tick)
 * I2  the view is readable, and has the rows that its query returned at some committed moment
 * I3  no advisory lock is left
 * I4  every success in the history was committed, and every commit has a success in the history
 * I5  every process is alive and has had no unhandled error
 * I6  the next tick or refresh succeeds without a restart
 */

const HISTORY = 'materialized_views.refresh_history';

/** A row's `xmin` is the lower 32 bits of the 64-bit ID of the transaction that wrote it. */
const WROTE_HISTORY = `h.outcome = 'refreshed' AND h.xmin::text::bigint = w.xid::text::bigint & 4294967295`;

const TWICE = `SELECT tick, count(*)::int FROM ${HISTORY}
  WHERE outcome = 'refreshed' AND tick IS NOT NULL
  GROUP BY schema_name, view_name, tick HAVING count(*) > 1`;

const SUCCESS_WITHOUT_COMMIT = `SELECT run_id FROM ${HISTORY} h
  WHERE outcome = 'refreshed' AND NOT EXISTS (SELECT FROM public.witnessed w WHERE ${WROTE_HISTORY})`;

const COMMIT_WITHOUT_SUCCESS = `SELECT xid FROM public.witnessed w
  WHERE NOT EXISTS (SELECT FROM ${HISTORY} h WHERE ${WROTE_HISTORY})`;

/** The run that stored the view's rows, found by their `xid` column. */
const RUN_IN_VIEW = `SELECT h.run_id FROM ${HISTORY} h
  JOIN (SELECT DISTINCT xid::xid8 AS xid FROM ${QUOTED_VIEW}) w ON ${WROTE_HISTORY}`;

/** What runs the next refresh, for I6. Without either, a scheduled refresh must succeed. */
export interface Survivors {
  /** A replica that runs it. */
  by?: Replica;
  /** Refreshes through an application in this process, and returns the outcome. */
  refresh?: () => Promise<unknown>;
}

/** A refresh through an application in this process, for I6. */
export function demanded(refreshes: RefreshService, view: ViewClass): () => Promise<unknown> {
  return async () => (await refreshes.refresh(view)).outcome;
}

export async function assertInvariants(ledger: Ledger, survivors: Survivors = {}): Promise<void> {
  assertAlive(ledger);
  await assertNextSucceeds(ledger, survivors.by ? asked(survivors.by) : survivors.refresh);
  await assertConsistent(ledger);
  await ledger.database.until(`SELECT WHERE NOT EXISTS (SELECT FROM ${ADVISORY_LOCKS})`);
  assertAlive(ledger);
}

/** Checks I1, I2 and I4 in one snapshot. */
export async function assertConsistent(ledger: Ledger): Promise<void> {
  const session = await ledger.database.session();
  await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  const rows = async <Row extends QueryResultRow>(text: string): Promise<Row[]> =>
    (await session.query<Row>(text)).rows;
  try {
    expect({ twice: await rows(TWICE) }).toEqual({ twice: [] });
    await assertOneRevision(session);
    expect({ successWithoutCommit: await rows(SUCCESS_WITHOUT_COMMIT) }).toEqual({
      successWithoutCommit: [],
    });
    expect({ commitWithoutSuccess: await rows(COMMIT_WITHOUT_SUCCESS) }).toEqual({
      commitWithoutSuccess: [],
    });
    const state = await rows('SELECT last_run_id AS run_id FROM materialized_views.view_state');
    expect(await rows(RUN_IN_VIEW)).toEqual(state);
  } finally {
    await session.end();
  }
}

async function assertOneRevision(session: Client): Promise<void> {
  const { rows } = await session.query<{ revision: number; stored: unknown; expected: unknown }>(
    `SELECT v.revision,
            jsonb_object_agg(v.account, v.balance) AS stored,
            (SELECT jsonb_object_agg(account, balance) FROM (
               SELECT account, sum(delta)::int AS balance FROM public.entries e
               WHERE e.revision <= v.revision GROUP BY account
             ) AS query) AS expected
     FROM ${QUOTED_VIEW} v GROUP BY v.revision`,
  );
  expect(rows).toHaveLength(1);
  expect(rows[0]?.stored).toEqual(rows[0]?.expected);
}

function asked(replica: Replica): () => Promise<unknown> {
  return async () => (await replica.ask<{ outcome: string }>({ do: 'refresh' })).outcome;
}

/** Checks I5. Replicas that a test has killed don't count: see `Ledger.forget`. */
function assertAlive({ replicas }: Ledger): void {
  for (const { isAlive, stderr } of replicas) {
    expect({ isAlive, stderr }).toMatchObject({ isAlive: true });
    expect(stderr).not.toMatch(/unhandled|uncaught|TypeError|ReferenceError|error in callback/i);
  }
}

async function assertNextSucceeds(ledger: Ledger, refresh: Survivors['refresh']): Promise<void> {
  await ledger.transfer();
  if (refresh !== undefined) {
    let outcome = await refresh();
    while (outcome === 'skipped') {
      outcome = await refresh();
    }
    expect(outcome).toBe('refreshed');
    return;
  }
  const [now] = await ledger.database.query<{ at: Date }>('SELECT clock_timestamp() AS at');
  await ledger.database.until(`SELECT FROM ${HISTORY} WHERE outcome = 'refreshed' AND tick > $1`, [
    now?.at,
  ]);
}
