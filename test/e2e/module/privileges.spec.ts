import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { PrimaryColumn, ViewColumn } from 'typeorm';
import { MaterializedViewEntity, RefreshService } from '../../../lib/index.js';
import { expectEachNeeded } from '../../support/needed-privileges.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';

const VIEW = '"Far away"."Daily ""Total"""';
const STATE = '"Own state"';

@MaterializedViewEntity({
  name: 'Daily "Total"',
  schema: 'Far away',
  expression: 'SELECT day, sum(amount)::int AS total FROM "The shop".orders GROUP BY day',
})
class DailyTotal {
  @PrimaryColumn() day!: number;
  @ViewColumn() total!: number;
}

interface Need {
  name: string;
  /** The needs in docs/operations/privileges.md, as `privilege ON object`. */
  privileges: string[];
  work: (refreshes: RefreshService) => Promise<unknown>;
  /** The first version of PostgreSQL that this applies to. */
  since?: number;
}

const NEEDS: Need[] = [
  {
    name: 'status',
    privileges: [
      `USAGE ON SCHEMA ${STATE}`,
      `SELECT ON ${STATE}.view_state`,
      `SELECT ON ${STATE}.refresh_history`,
    ],
    work: (refreshes) => refreshes.status(DailyTotal),
  },
  {
    name: 'history',
    privileges: [`USAGE ON SCHEMA ${STATE}`, `SELECT ON ${STATE}.refresh_history`],
    work: (refreshes) => refreshes.history(DailyTotal),
  },
  {
    name: 'refresh, with MAINTAIN',
    since: 17,
    privileges: [
      'USAGE ON SCHEMA "Far away"',
      `MAINTAIN ON ${VIEW}`,
      `USAGE ON SCHEMA ${STATE}`,
      `SELECT ON ${STATE}.view_state`,
      `INSERT ON ${STATE}.view_state`,
      `UPDATE ON ${STATE}.view_state`,
      `SELECT ON ${STATE}.refresh_history`,
      `INSERT ON ${STATE}.refresh_history`,
      `INSERT ON ${STATE}.change_log`,
    ],
    work: (refreshes) => refreshes.refresh(DailyTotal),
  },
];

describe('the privileges of docs/operations/privileges.md', () => {
  let database: TestDatabase;
  let role: string;
  let version: number;
  let admin: TestingModule;
  let app: TestingModule;
  let refreshes: RefreshService;

  beforeAll(async () => {
    database = await TestDatabase.create();
    role = `least_${database.name}`;
    const [row] = await database.query<{ version: number }>(
      `SELECT current_setting('server_version_num')::int / 10000 AS version`,
    );
    version = row?.version ?? 0;
    await database.query(`
      CREATE SCHEMA "The shop";
      CREATE TABLE "The shop".orders (day int, amount int);
      CREATE ROLE ${role} LOGIN PASSWORD 'secret'`);
    const options = { views: [DailyTotal], stateSchema: 'Own state' };
    admin = await bootWith(database, options);
    const url = new URL(database.url);
    url.username = role;
    url.password = 'secret';
    const least = Object.assign(Object.create(database) as TestDatabase, { url: url.href });
    app = await bootWith(least, { ...options, synchronize: false });
    refreshes = app.get(RefreshService);
  });

  afterAll(async () => {
    await app?.close();
    await admin?.close();
    await database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    await database.drop();
  });

  it.each(NEEDS)('are enough to ask for $name, and each is needed', async (need) => {
    if (version < (need.since ?? 0)) {
      return;
    }
    const needs = Object.fromEntries(need.privileges.map((each) => [each, undefined]));
    await expectEachNeeded(database, { role, needs, work: () => need.work(refreshes) });
  });

  it("never compares the rows with rights that are not the owner's", async () => {
    const owner = `owner_${database.name}`;
    const everything = [
      'USAGE ON SCHEMA "Far away", "The shop"',
      `SELECT ON ${VIEW}`,
      'SELECT ON "The shop".orders',
    ];
    await database.query(`CREATE ROLE ${owner}`);
    await database.query(`ALTER MATERIALIZED VIEW ${VIEW} OWNER TO ${owner}`);
    for (const privilege of everything) {
      await database.query(`GRANT ${privilege} TO ${role}`);
    }
    await expect(refreshes.drift(DailyTotal)).rejects.toMatchObject({
      code: 'MV_STATUS_FAILED',
      message: expect.stringContaining(`may not act as "${owner}"`) as unknown as string,
      hint: expect.stringContaining(`GRANT "${owner}" TO`) as unknown as string,
    });
    for (const privilege of everything) {
      await database.query(`REVOKE ${privilege} FROM ${role}`);
    }

    await database.query(`GRANT ${owner} TO ${role}`);
    await database.query(`GRANT USAGE ON SCHEMA "Far away", "The shop" TO ${owner}`);
    await expect(refreshes.drift(DailyTotal)).rejects.toMatchObject({ cause: { code: '42501' } });
    await database.query(`GRANT SELECT ON "The shop".orders TO ${owner}`);
    expect(await refreshes.drift(DailyTotal)).toMatchObject({ isDrifted: false });
    await database.query(`ALTER MATERIALIZED VIEW ${VIEW} OWNER TO CURRENT_USER`);
    await database.query(`DROP OWNED BY ${owner}; DROP ROLE ${owner}`);
  });

  it('are enough for an owner to refresh its view', async () => {
    const privileges = [
      'USAGE ON SCHEMA "Far away"',
      'USAGE ON SCHEMA "The shop"',
      'SELECT ON "The shop".orders',
      `USAGE ON SCHEMA ${STATE}`,
      `SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA ${STATE}`,
    ];
    await database.query(privileges.map((each) => `GRANT ${each} TO ${role}`).join('; '));
    await database.query(`ALTER MATERIALIZED VIEW ${VIEW} OWNER TO ${role}`);
    expect(await refreshes.refresh(DailyTotal)).toMatchObject({ outcome: 'refreshed' });
    await database.query(`ALTER MATERIALIZED VIEW ${VIEW} OWNER TO CURRENT_USER`);
  });
});
