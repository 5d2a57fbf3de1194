import { randomInt } from 'node:crypto';
import { escapeIdentifier } from 'pg';
import type { ViewClass } from '../../../lib/index.js';
import { Replica, type ReplicaOptions } from '../../support/replica-process.js';
import { ADVISORY_LOCKS, type ClosedGate, TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';
import { LEDGER } from './ledger-view.js';

/** For tests that make ticks due themselves, with `makeDue`. */
export const HOURLY = '0 * * * *';
export const EVERY_SECOND = '* * * * * *';

/** The backend that waits at the gate, in the middle of a refresh. */
export const AT_GATE = `(SELECT pid FROM ${ADVISORY_LOCKS} WHERE NOT granted AND objid = 4711)`;

export const QUOTED_VIEW = `${escapeIdentifier(LEDGER.schema)}.${escapeIdentifier(LEDGER.name)}`;

const ACCOUNT_COUNT = 50;

/** The view's tables, and a function that records the transaction of each refresh. */
const FIXTURE = `
CREATE SCHEMA ${escapeIdentifier(LEDGER.schema)};
CREATE TABLE public.entries (revision int, account int, delta int);
INSERT INTO public.entries SELECT 0, account, 100 FROM generate_series(1, ${ACCOUNT_COUNT}) AS account;
CREATE TABLE public.witnessed (xid xid8 PRIMARY KEY);
CREATE FUNCTION public.witness() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  INSERT INTO public.witnessed VALUES (pg_catalog.pg_current_xact_id()) ON CONFLICT DO NOTHING;
  RETURN pg_catalog.pg_current_xact_id()::text;
END $$`;

/** A database with the ledger, and the processes that refresh its view. */
export class Ledger {
  /** @param serverUrl the test's own server, if it doesn't use the shared one */
  static async create(serverUrl?: string): Promise<Ledger> {
    const database = await TestDatabase.create(serverUrl);
    await database.query(FIXTURE);
    await database.createGate();
    return new Ledger(database);
  }

  readonly replicas: Replica[] = [];
  private readonly roles: string[] = [];
  private gate?: ClosedGate;

  private constructor(readonly database: TestDatabase) {}

  /** The view's class, for an application in this process. */
  view({ key = ['account'] }: { key?: string[] } = {}): ViewClass {
    return viewClass({ ...LEDGER, columns: ['account', 'balance', 'revision', 'xid'], key });
  }

  /** Starts a process that refreshes the view, and waits until it has booted. */
  async start(options: ReplicaOptions & { url?: string } = {}): Promise<Replica> {
    const replica = this.launch(options);
    await replica.until('booted');
    return replica;
  }

  /** Starts a process without waiting. */
  launch({ url = this.database.url, ...options }: ReplicaOptions & { url?: string } = {}): Replica {
    const replica = Replica.start(url, options, 'test/faults/support/ledger-replica.ts');
    this.replicas.push(replica);
    return replica;
  }

  /** Creates a role that owns the view's schema and the tables. Returns its URL. */
  async ownedBy(role: string): Promise<string> {
    const schema = escapeIdentifier(LEDGER.schema);
    await this.database.query(`CREATE ROLE ${role} LOGIN;
GRANT CREATE, TEMP ON DATABASE ${this.database.name} TO ${role};
ALTER SCHEMA ${schema} OWNER TO ${role};
ALTER TABLE public.entries OWNER TO ${role};
ALTER TABLE public.witnessed OWNER TO ${role}`);
    this.roles.push(role);
    const url = new URL(this.database.url);
    url.username = role;
    return url.href;
  }

  /** No longer requires the process to be alive. */
  forget(replica: Replica): void {
    this.replicas.splice(this.replicas.indexOf(replica), 1);
  }

  /** The replica connected to a backend. */
  async replicaOf(backendPid: number): Promise<Replica> {
    const [row] = await this.database.query<{ application_name: string }>(
      'SELECT application_name FROM pg_stat_activity WHERE pid = $1',
      [backendPid],
    );
    const found = this.replicas.find((each) => row?.application_name === `replica ${each.pid}`);
    if (found === undefined) {
      throw new Error(`No replica has the backend ${backendPid}: ${row?.application_name}.`);
    }
    return found;
  }

  async closeGate(): Promise<ClosedGate> {
    this.gate = await this.database.closeGate();
    return this.gate;
  }

  /** Makes the last hourly tick due again. Returns its time. */
  async makeDue(): Promise<Date> {
    await this.database.query(`UPDATE materialized_views.view_state SET last_tick = '2020-01-01'`);
    const [row] = await this.database.query<{ tick: Date }>(
      `SELECT date_trunc('hour', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS tick`,
    );
    return row?.tick ?? new Date(NaN);
  }

  /** Resolves when a tick has succeeded. */
  async untilDone(tick: Date): Promise<void> {
    await this.database.until(
      `SELECT FROM materialized_views.refresh_history WHERE tick = $1 AND outcome = 'refreshed'`,
      [tick],
    );
  }

  async runsOf(tick: Date): Promise<Record<string, unknown>[]> {
    return this.database.query(
      `SELECT outcome, error_code, attempt FROM materialized_views.refresh_history
       WHERE tick = $1 ORDER BY started_at`,
      [tick],
    );
  }

  /** Waits for this time by the database's clock, while the processes go on. */
  async letPass(ms: number): Promise<void> {
    const [now] = await this.database.query<{ at: Date }>('SELECT clock_timestamp() AS at');
    await this.database.until(
      `SELECT WHERE clock_timestamp() > $1::timestamptz + $2 * interval '1 ms'`,
      [now?.at, ms],
    );
  }

  /** Adds a revision to the ledger: moves 1 from one account to another. */
  async transfer(): Promise<void> {
    const [from, to] = [randomInt(1, ACCOUNT_COUNT + 1), randomInt(1, ACCOUNT_COUNT + 1)];
    await this.database.query(
      `INSERT INTO public.entries
       SELECT (SELECT max(revision) + 1 FROM public.entries), account, delta
       FROM (VALUES ($1::int, -1), ($2::int, 1)) AS entry(account, delta)`,
      [from, to],
    );
  }

  /** Kills all processes, and drops the database. */
  async drop(): Promise<void> {
    await this.gate?.open().catch(() => undefined);
    await this.killAll();
    for (const role of this.roles) {
      await this.database.query(`DROP OWNED BY ${role} CASCADE; DROP ROLE ${role}`);
    }
    await this.database.drop();
  }

  async killAll(): Promise<void> {
    await Promise.all(this.replicas.splice(0).map((replica) => replica.kill()));
  }
}
