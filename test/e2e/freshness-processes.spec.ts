import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from 'pg';
import { changeLogLockKey } from '../../lib/postgres/advisory-lock.js';
import { tryLock } from '../../lib/postgres/advisory-lock.sql.js';
import { compactChanges, deleteSeenChanges } from '../../lib/postgres/change-log.sql.js';
import { SqlState } from '../../lib/postgres/sqlstate.js';
import { ChangeDetector, isStale } from '../support/change-detector.js';
import { Random } from '../support/random.js';
import { Replica } from '../support/replica-process.js';
import { TestDatabase } from '../support/test-database.js';
import { TOTALS } from '../support/totals-view.js';

const STATE = 'materialized_views';
const DURATION_MS = Number(process.env.STRESS_SECONDS ?? 10) * 1_000;
const ROUND_MS = 2_000;
const WRITER_COUNT = 6;
const REFRESHER_COUNT = 3;

const WRITES = [
  `INSERT INTO orders SELECT 10 * random(), 4 * random() FROM generate_series(1, 5)`,
  `INSERT INTO orders_1 VALUES (10 * random(), 1)`,
  `UPDATE orders SET id = id + 1 WHERE id = (10 * random())::int`,
  `UPDATE orders SET k = (k + 1) % 4 WHERE id = (10 * random())::int`,
  `DELETE FROM orders WHERE id = (10 * random())::int`,
  `DELETE FROM orders_2 WHERE id > 5`,
  `COPY orders FROM PROGRAM 'printf "7\\t1\\n8\\t2\\n"'`,
  `TRUNCATE orders_1`,
  `TRUNCATE orders`,
];

/** Whoever truncates takes locks in another order than who writes partitions: with triggers or without. */
async function unlessDeadlocked(session: Client, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    await session.query('ROLLBACK');
    if ((error as { code?: string }).code !== SqlState.deadlockDetected) {
      throw error;
    }
  }
}

describe('a view that several processes refresh and others write', () => {
  let database: TestDatabase;
  const random = new Random(Number(process.env.STRESS_SEED ?? 1));
  const refreshers: Replica[] = [];
  const sessions: Client[] = [];

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`
      CREATE TABLE orders (id int, k int) PARTITION BY LIST (k);
      CREATE TABLE orders_1 PARTITION OF orders FOR VALUES IN (1);
      CREATE TABLE orders_2 PARTITION OF orders FOR VALUES IN (2);
      CREATE TABLE orders_rest PARTITION OF orders DEFAULT`);
    await database.query(`SET deadlock_timeout = '50ms'`);
  });

  afterEach(async () => {
    await Promise.all(refreshers.splice(0).map((replica) => replica.kill()));
    await Promise.all(sessions.splice(0).map((session) => session.end()));
  });

  afterAll(() => database.drop());

  async function open(): Promise<Client> {
    const session = await database.session();
    await session.query(`SET deadlock_timeout = '50ms'`);
    sessions.push(session);
    return session;
  }

  async function startRefresher(): Promise<void> {
    const replica = Replica.start(database.url, {}, 'test/support/refresher.ts');
    refreshers.push(replica);
    await replica.until('booted');
  }

  async function killOne(): Promise<void> {
    const killed = refreshers.splice(random.between(0, refreshers.length - 1), 1);
    await Promise.all(killed.map((replica) => replica.kill()));
    await startRefresher();
  }

  async function writeOnce(session: Client): Promise<void> {
    await session.query('BEGIN');
    for (let count = random.between(1, 3); count > 0; count--) {
      await session.query('SAVEPOINT s');
      await session.query(random.of(WRITES));
      await session.query(random.next() < 0.2 ? 'ROLLBACK TO s' : 'RELEASE s');
    }
    await pause(random.between(0, 20));
    await session.query(random.next() < 0.2 ? 'ROLLBACK' : 'COMMIT');
  }

  async function write(session: Client, untilMs: number): Promise<void> {
    while (Date.now() < untilMs) {
      await unlessDeadlocked(session, () => writeOnce(session));
      await pause(random.between(0, 200));
    }
  }

  /** As the library does it, but with little patience. */
  async function shrinkLog(session: Client): Promise<void> {
    for (const { text, values } of [deleteSeenChanges(STATE, 10), compactChanges(STATE, 5)]) {
      const lock = tryLock(changeLogLockKey());
      await session.query('BEGIN');
      const { rows } = await session.query<{ acquired: boolean }>(lock.text, lock.values);
      await session.query(rows[0]?.acquired ? text : 'SELECT 1', rows[0]?.acquired ? values : []);
      await session.query('COMMIT');
    }
  }

  /** One moment of the database. TRUNCATE does not keep to moments, and is kept off by a lock. */
  async function probe(session: Client, answers: Set<boolean>): Promise<void> {
    const detector = new ChangeDetector(session, STATE);
    await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await session.query('LOCK TABLE orders IN ACCESS SHARE MODE');
    const { is_unchanged: isUnchanged } = await detector.changes(TOTALS);
    if (isUnchanged) {
      expect(await isStale(session, TOTALS)).toBe(false);
    }
    await session.query('COMMIT');
    answers.add(isUnchanged === true);
  }

  it(
    'never has other rows than its query without being told, and has its rows at rest',
    async () => {
      await startRefresher();
      await Promise.all(Array.from({ length: REFRESHER_COUNT - 1 }, startRefresher));
      const writers = await Promise.all(Array.from({ length: WRITER_COUNT }, open));
      const [prober, janitor] = [await open(), await open()];
      const detector = new ChangeDetector(database.client, STATE);
      const answers = new Set<boolean>();
      const endsAtMs = Date.now() + DURATION_MS;
      while (Date.now() < endsAtMs) {
        const untilMs = Date.now() + ROUND_MS;
        const probing = async (): Promise<void> => {
          while (Date.now() < untilMs) {
            await unlessDeadlocked(prober, () => probe(prober, answers));
          }
        };
        const shrinking = async (): Promise<void> => {
          while (Date.now() < untilMs) {
            await shrinkLog(janitor);
            await pause(random.between(0, 100));
          }
        };
        await Promise.all([
          ...writers.map((session) => write(session, untilMs)),
          probing(),
          shrinking(),
          killOne(),
        ]);
        while (!(await detector.changes(TOTALS)).is_unchanged) {
          await pause(10);
        }
        expect(await isStale(database.client, TOTALS)).toBe(false);
      }
      expect(answers).toContain(false);
      const [runs] = await database.query<{ count: number }>(
        `SELECT count(*)::int AS count FROM ${STATE}.refresh_history WHERE outcome = 'refreshed'`,
      );
      expect(runs?.count).toBeGreaterThan(REFRESHER_COUNT);
    },
    DURATION_MS + 120_000,
  );
});
