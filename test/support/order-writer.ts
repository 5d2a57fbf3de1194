import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from 'pg';
import { SqlState } from '../../lib/postgres/sqlstate.js';
import type { Random } from './random.js';

/** The tables that a stress test's writers change. `orders_3` is attached and detached. */
export const ORDERS = `
  CREATE TABLE orders (id int, k int) PARTITION BY LIST (k);
  CREATE TABLE orders_1 PARTITION OF orders FOR VALUES IN (1);
  CREATE TABLE orders_2 PARTITION OF orders FOR VALUES IN (2);
  CREATE TABLE orders_3 PARTITION OF orders FOR VALUES IN (3);
  CREATE TABLE orders_rest PARTITION OF orders DEFAULT`;

const IS_ATTACHED = `EXISTS (SELECT FROM pg_inherits WHERE inhrelid = 'orders_3'::regclass)`;
const DETACH = `ALTER TABLE orders DETACH PARTITION orders_3;`;
/** First deletes the rows that would violate the partition's constraint or the default partition's. */
const ATTACH = `
  DELETE FROM orders_rest WHERE k = 3;
  DELETE FROM orders_3 WHERE k <> 3;
  ALTER TABLE orders ATTACH PARTITION orders_3 FOR VALUES IN (3);`;

const withPartitionsLocked = (body: string): string =>
  `DO $$ BEGIN LOCK TABLE ONLY orders IN ACCESS EXCLUSIVE MODE; ${body} END $$`;

interface Write {
  sql: string;
  /** Relative frequency. */
  weight: number;
  /** The first PostgreSQL version that supports it. */
  since?: number;
}

export const WRITES: Record<string, Write> = {
  insert: {
    sql: `INSERT INTO orders SELECT 10 * random(), 3 * random() FROM generate_series(1, 5)`,
    weight: 6,
  },
  'insert into a partition': { sql: `INSERT INTO orders_1 VALUES (10 * random(), 1)`, weight: 4 },
  update: { sql: `UPDATE orders SET id = id + 1 WHERE id = (10 * random())::int`, weight: 6 },
  'move to another partition': {
    sql: `UPDATE orders SET k = (k + 1) % 4 WHERE id = (10 * random())::int`,
    weight: 6,
  },
  delete: { sql: `DELETE FROM orders WHERE id = (10 * random())::int`, weight: 4 },
  'delete from a partition': { sql: `DELETE FROM orders_2 WHERE id > 5`, weight: 2 },
  copy: { sql: `COPY orders FROM PROGRAM 'printf "7\\t1\\n8\\t2\\n"'`, weight: 4 },
  merge: {
    sql: `MERGE INTO orders o USING (SELECT n::int AS id FROM generate_series(1, 12, 3) AS n) AS s ON o.id = s.id
          WHEN MATCHED AND o.k = 1 THEN DELETE
          WHEN MATCHED THEN UPDATE SET k = 1
          WHEN NOT MATCHED THEN INSERT VALUES (s.id, 2)`,
    weight: 4,
    since: 15,
  },
  truncate: { sql: `TRUNCATE orders`, weight: 1 },
  'truncate a partition': { sql: `TRUNCATE orders_1`, weight: 2 },
  'attach or detach': {
    sql: withPartitionsLocked(`IF ${IS_ATTACHED} THEN ${DETACH} ELSE ${ATTACH} END IF;`),
    weight: 2,
  },
  'write to what comes and goes': {
    sql: `INSERT INTO orders_3 VALUES (10 * random(), 3)`,
    weight: 4,
  },
  'as replication does': {
    sql: `SET LOCAL session_replication_role = replica;
          INSERT INTO orders VALUES (10 * random(), 2);
          SET LOCAL session_replication_role = origin`,
    weight: 2,
  },
  'detach, write, attach': {
    sql: withPartitionsLocked(
      `IF ${IS_ATTACHED} THEN ${DETACH} INSERT INTO orders_3 VALUES (1, 3); ${ATTACH} END IF;`,
    ),
    weight: 1,
  },
};

/** Attaches `orders_3` if it is detached. */
export const ATTACH_AGAIN = withPartitionsLocked(`IF NOT ${IS_ATTACHED} THEN ${ATTACH} END IF;`);

const CHECK_VIOLATION = '23514';

/** Errors that concurrent writers cause each other by changing partitions and rows, even without a view. */
const REFUSALS = new Set<string>([
  SqlState.deadlockDetected,
  SqlState.serializationFailure,
  SqlState.lockNotAvailable,
  // A row for a partition that another session has just detached or attached.
  CHECK_VIOLATION,
]);

export function isRefusal(error: unknown): boolean {
  return REFUSALS.has((error as { code?: string }).code ?? '');
}

export class Tally {
  readonly counts: Record<string, number> = {};

  add(what: string): void {
    this.counts[what] = this.of(what) + 1;
  }

  of(what: string): number {
    return this.counts[what] ?? 0;
  }
}

/** Runs transactions of a few random writes. */
export class OrderWriter {
  private readonly kinds: string[];

  constructor(
    private readonly session: Client,
    private readonly random: Random,
    private readonly tally: Tally,
    serverVersion: number,
  ) {
    this.kinds = Object.entries(WRITES).flatMap(([kind, { weight, since = 0 }]) =>
      Array.from({ length: serverVersion >= since ? weight : 0 }, () => kind),
    );
  }

  /** @param inTheMiddle runs in the transaction, between its writes */
  async transaction(inTheMiddle: () => Promise<unknown>): Promise<void> {
    const kept: string[] = [];
    await this.session.query('BEGIN');
    for (let count = this.random.between(1, 3); count > 0; count--) {
      kept.push(...(await this.statement()));
    }
    await inTheMiddle();
    kept.push(...(await this.statement()));
    const isCommitted = this.random.next() >= 0.2;
    await this.session.query(isCommitted ? 'COMMIT' : 'ROLLBACK');
    this.tally.add(isCommitted ? 'commits' : 'rollbacks');
    if (isCommitted) {
      kept.forEach((kind) => this.tally.add(kind));
    }
  }

  /** Runs a random write, and sometimes rolls it back to a savepoint. Returns the kind of a write that is kept. */
  private async statement(): Promise<string[]> {
    const kind = this.random.of(this.kinds);
    await this.session.query('SAVEPOINT s');
    try {
      await this.session.query(WRITES[kind]?.sql ?? '');
    } catch (error) {
      if (!isRefusal(error)) {
        throw error;
      }
      await this.session.query('ROLLBACK TO s');
      this.tally.add('refused');
      return [];
    }
    const isKept = this.random.next() >= 0.2;
    await this.session.query(isKept ? 'RELEASE s' : 'ROLLBACK TO s');
    this.tally.add(isKept ? 'kept savepoints' : 'savepoints taken back');
    return isKept ? [kind] : [];
  }

  /** Runs transactions until `untilMs`, with pauses that let refreshes get the lock. */
  async run(untilMs: number, inTheMiddle: () => Promise<unknown>): Promise<void> {
    while (Date.now() < untilMs) {
      await this.transaction(inTheMiddle);
      await pause(this.random.between(0, 300));
    }
  }
}
