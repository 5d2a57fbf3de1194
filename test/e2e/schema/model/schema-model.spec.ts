import { afterAll, beforeAll, describe, it } from '@jest/globals';
import fc from 'fast-check';
import { TestDatabase } from '../../../support/test-database.js';
import { Dump } from './dump.js';
import { People } from './hand-work.js';
import { History } from './history.js';
import { Replicas } from './replicas.js';
import { anyHistory, type Step } from './steps.js';

/**
 * To run by hand: `FC_SEED=… FC_RUNS=5000`, without a time limit. `FC_SHRINK=1` shrinks a counterexample, and
 * `FC_PATH=…` starts with a known one.
 */
const isByHand = process.env.FC_RUNS !== undefined;
const TIME_LIMIT_MS = isByHand ? 2 ** 31 - 1 : 120_000;

/*
 * A few views go through random releases of an application: they read a table or each other, change everything that
 * can be declared, are added, removed and renamed, while people change the database by hand and processes are killed.
 * After each release, the database is as declared, and nothing that anyone added is lost.
 */
describe('any sequence of releases', () => {
  let database: TestDatabase;
  let people: People;
  let replicas: Replicas;
  let server: { dump: Dump | undefined; version: number };
  const totals: Record<string, number> = {};

  beforeAll(async () => {
    database = await TestDatabase.create();
    people = new People(database);
    await people.arrive();
    replicas = new Replicas(database);
    const [{ version } = {}] = await database.query<{ version: number }>(
      `SELECT current_setting('server_version_num')::int / 10000 AS version`,
    );
    server = { dump: await Dump.find(database), version: Number(version) };
  });

  afterAll(async () => {
    await replicas.end();
    await people.leave();
    await database.drop();
    if (isByHand) {
      process.stderr.write(`${JSON.stringify({ ...totals, boots: replicas.bootCount })}\n`);
    }
  });

  async function reset(): Promise<void> {
    await replicas.stop();
    await database.query(
      `DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE;
       DROP OWNED BY ${people.reader}, ${people.otherReader}, ${people.owner} CASCADE;
       ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM ${people.reader};
       ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO CURRENT_USER;
       DELETE FROM pg_seclabel WHERE provider = 'guard';
       DROP ACCESS METHOD IF EXISTS heap2;
       CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler;
       CREATE SCHEMA public;
       CREATE TABLE items (id int PRIMARY KEY, grp text, amount int, note text);
       CREATE FUNCTION ids_of(name text) RETURNS SETOF int LANGUAGE plpgsql STABLE
       AS $$ BEGIN RETURN QUERY EXECUTE 'SELECT id FROM ' || name; END $$;
       CREATE FUNCTION noticed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
       CREATE TRIGGER noticed AFTER INSERT ON items EXECUTE FUNCTION noticed();
       INSERT INTO items SELECT i, chr(96 + i % 5), i * 10, 'note ' || i FROM generate_series(1, 20) i`,
    );
  }

  async function checkHistory(steps: Step[]): Promise<void> {
    await reset();
    const history = new History(database, people, replicas, server);
    try {
      for (const step of steps) {
        await history.take(step);
      }
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new Error(
        `${message}\n\nThe releases, the last of which failed:\n${history.log.join('\n')}`,
        { cause: error },
      );
    } finally {
      count(history);
    }
  }

  function count(history: History): void {
    const all = {
      sequences: 1,
      ...history.counts,
      migrations: history.migrationCount,
      kills: history.interruptionCount,
      comparisons: history.comparisonCount,
    };
    for (const [what, number] of Object.entries(all)) {
      totals[what] = (totals[what] ?? 0) + number;
    }
  }

  it(
    'ends as declared, with nothing lost and nothing left over',
    async () => {
      await fc.assert(fc.asyncProperty(anyHistory, checkHistory), {
        seed: Number(process.env.FC_SEED ?? 20261121),
        numRuns: Number(process.env.FC_RUNS ?? 25),
        ...(process.env.FC_PATH !== undefined && { path: process.env.FC_PATH }),
        interruptAfterTimeLimit: TIME_LIMIT_MS,
        // A run by hand tries many seeds: it only reports a counterexample and leaves shrinking to another run.
        endOnFailure: isByHand && process.env.FC_SHRINK === undefined,
        markInterruptAsFailure: false,
      });
    },
    TIME_LIMIT_MS + (isByHand ? 0 : 60_000),
  );
});
