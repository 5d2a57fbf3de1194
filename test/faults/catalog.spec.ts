import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ScheduleModule } from '@nestjs/schedule';
import type { TestingModule } from '@nestjs/testing';
import { escapeIdentifier } from 'pg';
import { DataSource } from 'typeorm';
import { MaterializedViewsModule, RefreshService } from '../../lib/index.js';
import { boot, bootWith, typeOrm } from '../support/test-app.js';
import { viewClass } from '../support/view-class.js';
import { assertInvariants, demanded } from './support/invariants.js';
import { EVERY_SECOND, Ledger, QUOTED_VIEW } from './support/ledger.js';

const HOSTILE_NAMES = [
  'a"b; DROP TABLE canary; --',
  `it's`,
  '$$; DROP TABLE canary; $$',
  'back\\slash',
  'new\nline',
  '%s %I %L',
  '${name}',
  'ÖÄÜ ß',
  '🐘',
  '\u202Eright to left',
  'SELECT',
  ' ',
  // With `_key` appended, it has the longest possible name: 63 bytes.
  'x'.repeat(59),
];

describe('changes to the catalog by others', () => {
  let ledger: Ledger;
  let app: TestingModule | undefined;

  beforeEach(async () => {
    ledger = await Ledger.create();
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
    await ledger.drop();
  });

  it('30: NULLs in the key do not count as duplicates, and are refreshed', async () => {
    await ledger.database.query(
      'CREATE TABLE nulls AS SELECT NULL::int AS id FROM generate_series(1, 3)',
    );
    const view = viewClass({
      name: 'nulls "view"',
      expression: 'SELECT id FROM nulls',
      key: ['id'],
    });
    app = await bootWith(ledger.database, { views: [view] });
    expect(await app.get(RefreshService).refresh(view)).toMatchObject({ mode: 'concurrently' });
    expect(await app.get(DataSource).getRepository(view).count()).toBe(3);
  });

  it('32: a view is renamed and renamed back while ticks come', async () => {
    const replica = await ledger.start({ cron: EVERY_SECOND });
    await ledger.database.query(`ALTER MATERIALIZED VIEW ${QUOTED_VIEW} RENAME TO hidden`);
    const [failed] = await ledger.database.until(
      `SELECT error_code FROM materialized_views.refresh_history WHERE outcome = 'failed'`,
    );
    expect(failed).toEqual({ error_code: 'MV_VIEW_MISSING' });
    expect(await replica.ask({ do: 'refresh' })).toMatchObject({ code: 'MV_VIEW_MISSING' });
    const schema = QUOTED_VIEW.slice(0, QUOTED_VIEW.lastIndexOf('.'));
    const name = QUOTED_VIEW.slice(schema.length + 1);
    await ledger.database.query(`ALTER MATERIALIZED VIEW ${schema}.hidden RENAME TO ${name}`);
    await assertInvariants(ledger);
  });

  describe('33: privileges', () => {
    let role: string;
    let refreshes: RefreshService;
    const view = (): ReturnType<Ledger['view']> => ledger.view();

    const start = async (): Promise<ReturnType<Ledger['view']>> => {
      role = `app_${ledger.database.name}`;
      const url = await ledger.ownedBy(role);
      const ours = view();
      app = await boot(
        typeOrm(ledger.database, { url, autoLoadEntities: false, entities: [ours] }),
        ScheduleModule.forRoot(),
        MaterializedViewsModule.forRoot({ views: [ours], scheduling: false }),
      );
      refreshes = app.get(RefreshService);
      return ours;
    };

    it.each([
      [
        'SELECT on a table',
        (): string => `ALTER TABLE public.entries OWNER TO postgres`,
        (): string => `ALTER TABLE public.entries OWNER TO ${role}`,
      ],
      [
        'TEMP on the database',
        (): string => `REVOKE TEMP ON DATABASE ${ledger.database.name} FROM PUBLIC, ${role}`,
        (): string => `GRANT TEMP ON DATABASE ${ledger.database.name} TO ${role}`,
      ],
      [
        'the ownership of the view',
        (): string => `ALTER MATERIALIZED VIEW ${QUOTED_VIEW} OWNER TO postgres`,
        (): string => `ALTER MATERIALIZED VIEW ${QUOTED_VIEW} OWNER TO ${role}`,
      ],
    ])('%s is revoked and granted again', async (_, take, give) => {
      const ours = await start();
      await ledger.database.query(take());
      const error = await refreshes.refresh(ours).catch((failure: unknown) => failure);
      expect(error).toMatchObject({ code: 'MV_INSUFFICIENT_PRIVILEGE', isTransient: false });
      expect((error as { hint: string }).hint).toMatch(/TEMP/);
      await ledger.database.query(give());
      await assertInvariants(ledger, { refresh: demanded(refreshes, ours) });
    });

    it('MAINTAIN is enough from PostgreSQL 17 on', async () => {
      const ours = await start();
      const [server] = await ledger.database.query<{ version: number }>(
        `SELECT current_setting('server_version_num')::int AS version`,
      );
      if ((server?.version ?? 0) < 170_000) {
        return;
      }
      await ledger.database.query(`ALTER MATERIALIZED VIEW ${QUOTED_VIEW} OWNER TO postgres`);
      await ledger.database.query(`GRANT MAINTAIN ON ${QUOTED_VIEW} TO ${role}`);
      await assertInvariants(ledger, { refresh: demanded(refreshes, ours) });
    });
  });

  it('46: the state of a view is deleted while ticks come', async () => {
    await ledger.start({ cron: EVERY_SECOND });
    await ledger.database.query('DELETE FROM materialized_views.view_state');
    await assertInvariants(ledger);
  });

  it('46: an application without the CREATE privilege says so when it boots', async () => {
    const role = `app_${ledger.database.name}`;
    const url = await ledger.ownedBy(role);
    await ledger.database.query(`REVOKE CREATE ON DATABASE ${ledger.database.name} FROM ${role}`);
    const view = ledger.view();
    const booting = boot(
      typeOrm(ledger.database, { url, autoLoadEntities: false, entities: [view] }),
      ScheduleModule.forRoot(),
      MaterializedViewsModule.forRoot({ views: [view], scheduling: false }),
    );
    await expect(booting).rejects.toThrow(/permission denied for database/);
  });

  it('47: hostile names work, and the canary table survives', async () => {
    await ledger.database.query('CREATE TABLE public.canary AS SELECT 1 AS alive');
    const views = HOSTILE_NAMES.map((name) =>
      viewClass({
        schema: schemaOf(name),
        name,
        expression: 'SELECT alive AS id FROM public.canary',
        key: ['id'],
        comment: name,
      }),
    );
    for (const name of HOSTILE_NAMES) {
      await ledger.database.query(`CREATE SCHEMA ${escapeIdentifier(schemaOf(name))}`);
    }
    app = await bootWith(ledger.database, { views });
    for (const view of views) {
      expect(await app.get(RefreshService).refresh(view)).toMatchObject({ mode: 'concurrently' });
    }
    const made = await ledger.database.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class WHERE relkind = 'm' AND obj_description(oid) = relname`,
    );
    expect(made.map(({ name }) => name).sort()).toEqual([...HOSTILE_NAMES].sort());
    expect(await ledger.database.query('SELECT alive FROM public.canary')).toEqual([{ alive: 1 }]);
  });
});

function schemaOf(name: string): string {
  return `in ${name}`;
}
