import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from 'pg';
import { changeLogLockKey, refreshLockKey } from '../../../lib/postgres/advisory-lock.js';
import { tryLock } from '../../../lib/postgres/advisory-lock.sql.js';
import { deleteSeenChanges } from '../../../lib/postgres/change-log.sql.js';
import { ChangeDetector } from '../../support/change-detector.js';
import { FreshnessObserver, type Observation } from '../../support/freshness-observer.js';
import { ATTACH_AGAIN, ORDERS, OrderWriter, Tally, WRITES } from '../../support/order-writer.js';
import { Random } from '../../support/random.js';
import { compact } from '../../support/janitor.js';
import { Replica, type ReplicaOptions } from '../../support/replica-process.js';
import { ADVISORY_LOCKS, TestDatabase } from '../../support/test-database.js';
import { PACE, TOTALS } from '../../support/totals-view.js';

const STATE = 'materialized_views';
const DURATION_MS = Number(process.env.STRESS_SECONDS ?? 10) * 1_000;
const ROUND_MS = 3_000;
const WRITER_COUNT = 6;

/** The time limit for all of `LEAST_COUNTS` to happen and each kind of write to be committed. */
const LONGEST_MS = DURATION_MS + 120_000;
const LEAST_COUNTS: Record<string, number> = {
  unchanged: 20,
  changed: 20,
  rollbacks: 5,
  'savepoints taken back': 5,
  'transactions around a refresh': 1,
  'compacted tables': 1,
  'killed processes': 1,
  'terminated backends': 1,
};

/** How long a transaction stays open, waiting for a refresh to start: other sessions may wait for its locks. */
const LONG_MS = 300;

/** One process for each. */
const DEMANDS: NonNullable<ReplicaOptions['demands']>[] = [
  { mode: 'concurrently' },
  { mode: 'blocking' },
  { mode: 'swap' },
];

/** The failure that the test looks for: the view is stale, but counts as unchanged. */
const MISSED: Observation = { isUnchanged: true, isStale: true };

/** In this order, each of them changes rows. */
const SINGLE_WRITES = [
  'write to what comes and goes',
  'attach or detach',
  'attach or detach',
  'insert',
  'insert into a partition',
  'copy',
  'as replication does',
  'truncate a partition',
  'truncate',
];

/** The backend that is refreshing the view. */
const REFRESHING = `
  SELECT a.pid, a.application_name
  FROM ${ADVISORY_LOCKS} JOIN pg_stat_activity a USING (pid)
  WHERE locks.granted AND (locks.classid::bigint << 32) | locks.objid::bigint = $1::bigint`;

interface Refresher {
  replica: Replica;
  demands: ReplicaOptions['demands'];
}

describe('a view that several processes refresh and others write', () => {
  let database: TestDatabase;
  let serverVersion: number;
  const random = new Random(Number(process.env.STRESS_SEED ?? 1));
  const tally = new Tally();
  const refreshers: Refresher[] = [];
  const sessions: Client[] = [];

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`${ORDERS};${PACE}`);
    const [row] = await database.query<{ version: number }>(
      `SELECT current_setting('server_version_num')::int / 10000 AS version`,
    );
    serverVersion = row?.version ?? 0;
  });

  afterEach(async () => {
    await Promise.all(refreshers.splice(0).map(({ replica }) => replica.kill()));
    await Promise.all(sessions.splice(0).map((session) => session.end()));
  });

  afterAll(() => database.drop());

  /** The short timeouts keep a blocked session from holding up those queued behind it. */
  async function open(): Promise<Client> {
    const session = await database.session();
    await session.query(`SET deadlock_timeout = '50ms'; SET lock_timeout = '100ms'`);
    sessions.push(session);
    return session;
  }

  async function start(demands: ReplicaOptions['demands']): Promise<void> {
    const replica = Replica.start(database.url, { demands }, 'test/support/refresher.ts');
    refreshers.push({ replica, demands });
    await replica.until('booted');
  }

  /** Kills a process during a refresh and starts another. */
  async function killOne(): Promise<void> {
    const [holder] = await database.until(REFRESHING, [refreshLockKey(TOTALS)]);
    const at = refreshers.findIndex(
      ({ replica }) => holder?.application_name === `replica ${replica.pid}`,
    );
    const [killed] = refreshers.splice(Math.max(at, 0), 1);
    await killed?.replica.kill();
    tally.add('killed processes');
    await start(killed?.demands);
  }

  async function terminateOne(): Promise<void> {
    const [ended] = await database.until<{ ended: boolean }>(
      `SELECT pg_terminate_backend(pid) AS ended FROM (${REFRESHING}) AS refreshing`,
      [refreshLockKey(TOTALS)],
    );
    if (ended?.ended) {
      tally.add('terminated backends');
    }
  }

  async function harm(untilMs: number): Promise<void> {
    const terminating = async (): Promise<void> => {
      do {
        await terminateOne();
        await pause(random.between(100, 500));
      } while (Date.now() < untilMs);
    };
    await Promise.all([killOne(), terminating()]);
  }

  /** Keeps one transaction in ten open until a refresh has started, or for `LONG_MS`. */
  async function longOrShort(session: Client): Promise<void> {
    if (random.next() >= 0.1) {
      await pause(random.between(0, 20));
      return;
    }
    const untilMs = Date.now() + LONG_MS;
    const lastStart = async (): Promise<number> => {
      const { rows } = await session.query<{ at: Date }>(
        `SELECT last_started_at AS at FROM ${STATE}.view_state`,
      );
      return rows[0]?.at.getTime() ?? 0;
    };
    const { rows } = await session.query<{ now: Date }>('SELECT clock_timestamp() AS now');
    const writtenAt = rows[0]?.now.getTime() ?? Infinity;
    while (Date.now() < untilMs) {
      if ((await lastStart()) > writtenAt) {
        tally.add('transactions around a refresh');
        return;
      }
      await pause(10);
    }
  }

  /** Deletes and compacts as the library does, but in small batches and from few changes on. */
  async function shrinkLog(session: Client): Promise<void> {
    const lock = tryLock(changeLogLockKey());
    const deletion = deleteSeenChanges(STATE, 10);
    await session.query('BEGIN');
    const { rows } = await session.query<{ acquired: boolean }>(lock.text, lock.values);
    if (rows[0]?.acquired) {
      await session.query(deletion.text, deletion.values);
      const count = await compact(session, STATE, 5);
      for (let each = 0; each < count; each++) {
        tally.add('compacted tables');
      }
    }
    await session.query('COMMIT');
  }

  async function storm(
    untilMs: number,
    {
      observer,
      janitor,
      writers,
    }: { observer: FreshnessObserver; janitor: Client; writers: Client[] },
  ): Promise<void> {
    const observing = async (): Promise<void> => {
      while (Date.now() < untilMs) {
        expect(await observer.observe()).not.toEqual(MISSED);
      }
    };
    const shrinking = async (): Promise<void> => {
      while (Date.now() < untilMs) {
        await shrinkLog(janitor);
        await pause(random.between(0, 100));
      }
    };
    const writing = async (session: Client): Promise<void> => {
      const writer = new OrderWriter(session, random, tally, serverVersion);
      await writer.run(untilMs, () => longOrShort(session));
    };
    await Promise.all([...writers.map(writing), observing(), shrinking(), harm(untilMs)]);
  }

  /** Resolves when the view has no pending changes. Call it only while nothing writes. */
  async function untilAtRest(observer: FreshnessObserver): Promise<void> {
    const detector = new ChangeDetector(database.client, STATE);
    await database.query(ATTACH_AGAIN);
    if ((await detector.changes(TOTALS)).is_captured === false) {
      // The partition was detached when the last process booted. Another boot captures its writes.
      const [replaced] = refreshers.splice(0, 1);
      await replaced?.replica.kill();
      await start(replaced?.demands);
    }
    await untilUnchanged(observer);
  }

  async function untilUnchanged(observer: FreshnessObserver): Promise<void> {
    let seen: Observation | undefined;
    while (!seen?.isUnchanged) {
      seen = await observer.observe();
      expect(seen).not.toEqual(MISSED);
    }
  }

  /** One write at a time: in a storm, other pending changes would hide one that is missed. */
  async function writeSingly(observer: FreshnessObserver): Promise<void> {
    for (const kind of SINGLE_WRITES) {
      await database.query(WRITES[kind]?.sql ?? '');
      tally.add(kind);
      await untilUnchanged(observer);
    }
  }

  /** What must still happen for the test to be meaningful. */
  function missing(): string[] {
    const kinds = Object.keys(WRITES).filter((kind) => serverVersion >= (WRITES[kind]?.since ?? 0));
    const needed: Record<string, number> = {
      ...Object.fromEntries(kinds.map((kind) => [kind, 1])),
      ...LEAST_COUNTS,
    };
    return Object.keys(needed).filter((what) => tally.of(what) < (needed[what] ?? 0));
  }

  it(
    'never differs from its query unnoticed, and matches it at rest',
    async () => {
      for (const demands of DEMANDS) {
        await start(demands);
      }
      const writers = await Promise.all(Array.from({ length: WRITER_COUNT }, open));
      const [session, janitor] = [await open(), await open()];
      const observer = new FreshnessObserver(session, STATE, TOTALS, tally);
      const startedAtMs = Date.now();
      const lasts = (ms: number): boolean => Date.now() < startedAtMs + ms;
      while (lasts(DURATION_MS) || (lasts(LONGEST_MS) && missing().length > 0)) {
        await storm(Date.now() + ROUND_MS, { observer, janitor, writers });
        await untilAtRest(observer);
        await writeSingly(observer);
      }
      const modes = await database.query<{
        mode: string;
        outcome: string;
        code: string;
        count: number;
      }>(
        `SELECT mode, outcome, error_code AS code, count(*)::int AS count
         FROM ${STATE}.refresh_history GROUP BY 1, 2, 3 ORDER BY 4 DESC`,
      );
      if (process.env.STRESS_SECONDS) {
        process.stdout.write(`${JSON.stringify({ ...tally.counts, modes }, null, 1)}\n`);
      }
      expect(missing()).toEqual([]);
      expect(new Set(modes.map(({ mode }) => mode).filter(Boolean))).toEqual(
        new Set(['concurrently', 'blocking', 'swap']),
      );
      for (const { replica } of refreshers) {
        expect(replica.isAlive).toBe(true);
        expect(replica.stderr).not.toMatch(/unhandled|uncaught|TypeError|ReferenceError/i);
      }
    },
    LONGEST_MS + 180_000,
  );
});
