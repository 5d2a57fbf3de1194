import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import type { Client } from 'pg';
import { deleteSeenChanges } from '../../../lib/postgres/change-log.sql.js';
import { ChangeDetector, isStale } from '../../support/change-detector.js';
import { compact } from '../../support/janitor.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass, YEARLY } from '../../support/view-class.js';

const STATE = 'materialized_views';
const TOTALS = { schema: 'public', name: 'totals' };
const WRITER_COUNT = 3;
const STEP_COUNT = 400;
/** Each step sends several queries. */
const LONGEST_MS = 240_000;

/** Each writer writes only its own rows ($1): if one waited for another, the test would hang. */
const WRITES = [
  `INSERT INTO orders VALUES ($1, 1), ($1, 2)`,
  `INSERT INTO orders_1 VALUES ($1, 1)`,
  `UPDATE orders SET k = (k + 1) % 3 WHERE id = $1`,
  `DELETE FROM orders WHERE id = $1 AND k = 0`,
];

type Step = () => Promise<unknown>;

/** Repeatable random numbers, one sequence for each seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

describe('a change, while several sessions write and a view is refreshed', () => {
  let database: TestDatabase;
  let app: TestingModule;
  const sessions: Client[] = [];

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`
      CREATE TABLE orders (id int, k int) PARTITION BY LIST (k);
      CREATE TABLE orders_1 PARTITION OF orders FOR VALUES IN (1);
      CREATE TABLE orders_2 PARTITION OF orders FOR VALUES IN (2);
      CREATE TABLE orders_rest PARTITION OF orders DEFAULT`);
    const view = viewClass({
      ...TOTALS,
      expression: 'SELECT k AS id, count(*), sum(id) FROM public.orders GROUP BY k',
      refresh: { cron: YEARLY, skipUnchanged: true },
    });
    app = await bootWith(database, { views: [view] });
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  async function open(): Promise<Client> {
    const session = await database.session();
    sessions.push(session);
    return session;
  }

  afterEach(async () => {
    await Promise.all(sessions.splice(0).map((session) => session.end()));
  });

  /** A writer whose transactions last several steps. */
  async function writer(id: number, random: (below: number) => number): Promise<Step> {
    const session = await open();
    let isOpen = false;
    return async () => {
      if (!isOpen) {
        await session.query('BEGIN');
      }
      const isEnd = isOpen && random(3) === 0;
      const write = WRITES[random(WRITES.length)] ?? '';
      await (isEnd
        ? session.query(random(4) === 0 ? 'ROLLBACK' : 'COMMIT')
        : session.query(write, [id]));
      isOpen = !isEnd;
    };
  }

  /** A refresh that takes its watermark in one step and commits in a later one. */
  async function refresher(): Promise<Step> {
    const detector = new ChangeDetector(await open(), STATE);
    let seen: Awaited<ReturnType<typeof detector.begin>> | undefined;
    return async () => {
      if (seen === undefined) {
        seen = await detector.begin(TOTALS);
      } else {
        await detector.commit(TOTALS, seen);
        seen = undefined;
      }
    };
  }

  async function janitor(work: (session: Client) => Promise<unknown>): Promise<Step> {
    const session = await open();
    return () => work(session);
  }

  it.each([1, 2, 3])(
    'is never missed, seed %i',
    async (seed) => {
      const random = randomOf(seed * 7_919);
      const writers = await Promise.all(
        Array.from({ length: WRITER_COUNT }, (_, id) => writer(seed * 100 + id, random)),
      );
      const refresh = await refresher();
      const deletion = deleteSeenChanges(STATE, 10);
      const steps = [
        ...writers,
        refresh,
        refresh,
        await janitor((session) => session.query(deletion.text, deletion.values)),
        await janitor((session) => compact(session, STATE, 3)),
      ];
      const detector = new ChangeDetector(database.client, STATE);
      const answers = { unchanged: 0, changed: 0 };
      for (let count = 0; count < STEP_COUNT; count++) {
        await steps[random(steps.length)]?.();
        await database.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
        const { is_unchanged } = await detector.changes(TOTALS);
        if (is_unchanged) {
          expect(await isStale(database.client, TOTALS)).toBe(false);
        }
        await database.query('COMMIT');
        answers[is_unchanged ? 'unchanged' : 'changed']++;
      }
      expect(answers.unchanged).toBeGreaterThan(0);
      expect(answers.changed).toBeGreaterThan(0);
    },
    LONGEST_MS,
  );
});
