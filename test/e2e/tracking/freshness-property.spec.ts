import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { runInNewContext } from 'node:vm';
import type { Client } from 'pg';
import { DataSource, type MigrationInterface } from 'typeorm';
import type { ViewDefinition } from '../../../lib/definition/view-definition.js';
import { tracksAllDeclared } from '../../../lib/tracking/capture-record.js';
import {
  InvalidDefinitionError,
  RefreshService,
  SchemaService,
  UnmanagedDependentsError,
} from '../../../lib/index.js';
import { deleteSeenChanges } from '../../../lib/postgres/change-log.sql.js';
import { type QualifiedName, quoteQualifiedName } from '../../../lib/postgres/identifier.js';
import type { CaptureRecord } from '../../../lib/postgres/state.sql.js';
import { isStale } from '../../support/change-detector.js';
import {
  anyHistory,
  classOf,
  DDL,
  DDL_REFUSALS,
  GRANTS,
  LOW,
  NAMES,
  rate,
  RATES,
  recent,
  type Refresh,
  type Release,
  STATE,
  type Step,
} from '../../support/freshness-history.js';
import { compact } from '../../support/janitor.js';
import { RunningApp } from '../../support/running-app.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';

/*
 * Three views go through releases of an application, of which at most two run at a time. Meanwhile, tables are
 * written and altered, views are refreshed in every possible way, and migrations run. The test itself triggers polls,
 * ticks and repairs, so that it knows when each has ended.
 */

/** Expected refusals: a view names itself in `on`, or a view that is no longer declared depends on a changed one. */
function unlessRefused(error: unknown): void {
  if (!(error instanceof InvalidDefinitionError || error instanceof UnmanagedDependentsError)) {
    throw error;
  }
}

/** The relations `roots`, all partitions below them, and all parents of any of these. */
const FAMILY = `below AS (
  SELECT oid FROM roots
  UNION
  SELECT i.inhrelid FROM below JOIN pg_inherits i ON i.inhparent = below.oid
), family AS (
  SELECT oid FROM below
  UNION
  SELECT i.inhparent FROM family JOIN pg_inherits i ON i.inhrelid = family.oid
)`;

/** What a view reads, from the catalog, found without the library. */
interface Reads {
  /** The quoted names of what its query reads directly or through plain views, without the plain views. */
  named: Set<string>;
  /** The same with all partitions and parents, but only tables. */
  tables: Set<string>;
  callsRate: boolean;
}

describe('any sequence of releases, writes and refreshes', () => {
  let database: TestDatabase;
  let writer: Client;
  let stranger: Client;
  let leftOpen: Client;
  let isLeftOpen = false;
  let lastViews: Release['views'] = [];
  const apps: (RunningApp | undefined)[] = [];

  beforeAll(async () => {
    database = await TestDatabase.create();
    [writer, stranger, leftOpen] = (await Promise.all([1, 2, 3].map(() => database.session()))) as [
      Client,
      Client,
      Client,
    ];
    await database.query(`CREATE ROLE "${database.name}"`);
  });

  beforeEach(reset);

  afterEach(closeAll);

  afterAll(async () => {
    for (const session of [writer, stranger, leftOpen]) {
      await session.end();
    }
    await database.query(`DROP OWNED BY "${database.name}"; DROP ROLE "${database.name}"`);
    await database.drop();
  });

  async function closeAll(): Promise<void> {
    await endOpen();
    await Promise.all(running().map((app) => app.module.close()));
    apps.length = 0;
  }

  const grants = (): string => GRANTS.replaceAll('stranger', `"${database.name}"`);

  async function reset(): Promise<void> {
    await Promise.all([writer, stranger].map((each) => each.query('ROLLBACK')));
    await stranger.query('RESET ROLE');
    await database.query(`
      DROP SCHEMA IF EXISTS ${STATE}, "Odd schema", public CASCADE;
      CREATE SCHEMA public;
      CREATE TABLE items (id int, k int, v int) PARTITION BY LIST (k);
      CREATE TABLE items_1 PARTITION OF items FOR VALUES IN (1);
      CREATE TABLE items_2 PARTITION OF items FOR VALUES IN (2);
      CREATE TABLE items_3 (id int, k int, v int);
      CREATE TABLE notes (id int, v int);
      ${RATES};
      INSERT INTO items VALUES (1, 1, 1), (2, 2, 2);
      INSERT INTO items_3 VALUES (3, 3, 3);
      INSERT INTO notes VALUES (1, 1);
      INSERT INTO rates VALUES (1, 1);
      ${recent(0)};
      ${rate(1)};
      ${grants()}`);
    await stranger.query(`SET ROLE "${database.name}"`);
  }

  async function stop(slot: number): Promise<void> {
    const app = apps[slot];
    apps[slot] = undefined;
    await app?.module.close();
  }

  const changedRelease = (release: Release, only: number): Release => ({
    ...release,
    views: release.views.map((view, position) =>
      position === only ? view : (lastViews[position] ?? view),
    ),
  });

  async function start(slot: number, release: Release): Promise<void> {
    await stop(slot);
    lastViews = release.views;
    const views = release.views.flatMap((view, position) =>
      view === null ? [] : [classOf(position, view)],
    );
    const { synchronize, onDrift, wakeUp } = release;
    try {
      const app = await bootWith(database, {
        views,
        synchronize,
        onDrift,
        wakeUp,
        lockTimeout: 100,
      });
      apps[slot] = new RunningApp(app, release);
      await checkRemembered(apps[slot]);
    } catch (error) {
      unlessRefused(error);
    }
  }

  /** After the boot of an app that may create what is missing, the database tracks all that it declares. */
  async function checkRemembered(app: RunningApp): Promise<void> {
    if (app.mayCreate) {
      for (const view of await existing()) {
        const definition = app.declares(view);
        if (definition && definition.version === undefined) {
          const { capture } = await stateOf(view);
          expect({ view, isTold: tracksAllDeclared(definition, capture) }).toEqual({
            view,
            isTold: true,
          });
        }
      }
    }
  }

  const running = (): RunningApp[] => apps.filter((app) => app !== undefined);

  async function endOpen(): Promise<void> {
    if (isLeftOpen) {
      isLeftOpen = false;
      await leftOpen.query('COMMIT');
    }
  }

  async function perform(step: Step): Promise<void> {
    switch (step.do) {
      case 'boot':
        return start(
          step.slot,
          step.only === undefined ? step.release : changedRelease(step.release, step.only),
        );
      case 'stop':
        return stop(step.slot);
      case 'write':
        return write(step);
      case 'ddl':
        return alter(step.ddl);
      case 'refresh':
        return refresh(step);
      case 'leave open':
        return isLeftOpen ? endOpen() : leaveOpen();
      case 'shrink the log':
        return shrinkLog();
      case 'race':
        return race();
      case 'rest':
        return rest();
      default:
        return apps[step.slot] && ask(step, apps[step.slot] as RunningApp);
    }
  }

  async function write({
    write: text,
    commits,
    asStranger,
  }: Extract<Step, { do: 'write' }>): Promise<void> {
    const session = asStranger ? stranger : writer;
    await session.query('BEGIN');
    await session.query(text);
    await session.query(commits ? 'COMMIT' : 'ROLLBACK');
  }

  async function leaveOpen(): Promise<void> {
    await leftOpen.query('BEGIN; INSERT INTO notes VALUES (2, 23)');
    isLeftOpen = true;
  }

  async function alter(ddl: keyof typeof DDL): Promise<void> {
    try {
      await database.query(DDL[ddl]);
      await database.query(grants());
    } catch (error) {
      if (!DDL_REFUSALS.includes((error as { code: string }).code)) {
        throw error;
      }
    }
  }

  async function shrinkLog(): Promise<void> {
    const { text, values } = deleteSeenChanges(STATE, 1_000);
    await database.query(text, values);
    await compact(database.client, STATE, 2);
  }

  /** Polls, refreshes and writes, all at the same time. */
  async function race(): Promise<void> {
    const views = await existing();
    const writes = async (): Promise<void> => {
      for (let count = 0; count < 5; count++) {
        await stranger.query('INSERT INTO items VALUES (200, 2, 41)');
        await stranger.query('INSERT INTO notes VALUES (5, 43)');
      }
    };
    await Promise.all([
      writes(),
      writer.query('UPDATE notes SET v = v + 1'),
      ...running().flatMap((app) => [
        app.look(),
        ...views
          .filter((view) => app.declares(view))
          .map((view) => refreshBy(app, view, 'service')),
      ]),
    ]);
  }

  async function refresh({ slot, view, how }: Extract<Step, { do: 'refresh' }>): Promise<void> {
    const name = NAMES[view] ?? LOW;
    if (!(await existing()).includes(name)) {
      return;
    }
    if (how === 'by hand') {
      await database.query(`REFRESH MATERIALIZED VIEW ${quoteQualifiedName(name)}`);
    } else if (how === 'old rows') {
      await database.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      await database.query('SELECT FROM notes');
      await writer.query('UPDATE items SET v = v + 1; INSERT INTO notes VALUES (3, 29)');
      await database.query(`REFRESH MATERIALIZED VIEW ${quoteQualifiedName(name)}; COMMIT`);
    } else if (apps[slot]?.declares(name)) {
      await refreshBy(apps[slot], name, how);
    }
  }

  async function refreshBy(app: RunningApp, view: QualifiedName, how: Refresh): Promise<void> {
    const service = app.module.get(RefreshService);
    const name = `${view.schema}.${view.name}`;
    if (how === 'service') {
      await service.refresh(name);
      return;
    }
    const isOver = new Error('To be rolled back');
    const work = app.module.get(DataSource).transaction(async (manager) => {
      await manager.query('UPDATE items SET v = v + 1');
      await service.refresh(name, { manager });
      await manager.query('INSERT INTO notes VALUES (4, 31)');
      if (how === 'rolled back') {
        throw isOver;
      }
    });
    await work.catch((error: unknown) => {
      if (error !== isOver) {
        throw error;
      }
    });
  }

  async function ask(step: Extract<Step, { slot: number }>, app: RunningApp): Promise<void> {
    const schema = app.module.get(SchemaService);
    if (step.do === 'look') {
      await app.look();
    } else if (step.do === 'apply') {
      await endOpen();
      await schema.plan().then((plan) => schema.apply(plan), unlessRefused);
    } else if (step.do === 'migrate') {
      await endOpen();
      await migrate(schema, step.undoes);
    } else if ('view' in step) {
      const definition = app.declares(NAMES[step.view] ?? LOW);
      if (definition !== undefined && (await existing()).includes(NAMES[step.view] ?? LOW)) {
        await askForView(step.do, app, definition);
      }
    }
  }

  async function askForView(
    what: string,
    app: RunningApp,
    definition: ViewDefinition,
  ): Promise<void> {
    const name = `${definition.name.schema}.${definition.name.name}`;
    const service = app.module.get(RefreshService);
    if (what === 'tick') {
      await tick(app, definition);
    } else if (what === 'pause') {
      await service.pause(name);
    } else {
      await service.resume(name);
    }
  }

  async function migrate(schema: SchemaService, undoes: boolean): Promise<void> {
    const file = await schema
      .generateMigration({ name: 'any', language: 'js', module: 'cjs' })
      .catch(unlessRefused);
    if (!file) {
      return;
    }
    const module: { exports: Record<string, new () => MigrationInterface> } = { exports: {} };
    runInNewContext(file.source, { module });
    const [Migration] = Object.values(module.exports);
    const migration = new (Migration as new () => MigrationInterface)();
    const runner = {
      query: (text: string, values?: unknown[]) => database.query(text, values),
    } as unknown as Parameters<MigrationInterface['up']>[0];
    for (const way of undoes ? (['up', 'down'] as const) : (['up'] as const)) {
      await database.query('BEGIN');
      await migration[way](runner);
      await database.query('COMMIT');
    }
  }

  async function existing(): Promise<QualifiedName[]> {
    const rows = await database.query<{ name: string }>(
      `SELECT relname AS name FROM pg_class WHERE relkind = 'm' AND relispopulated`,
    );
    return NAMES.filter(({ name }) => rows.some((row) => row.name === name));
  }

  async function readsOf(view: QualifiedName): Promise<Reads> {
    const [row] = await database.query<{ named: string[]; tables: string[]; calls: boolean }>(
      `WITH RECURSIVE reads AS (
         SELECT $1::regclass::oid AS oid, true AS walks
         UNION
         SELECT c.oid, c.relkind = 'v'
         FROM reads r JOIN pg_rewrite w ON r.walks AND w.ev_class = r.oid
         JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
           AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> w.ev_class
         JOIN pg_class c ON c.oid = d.refobjid
       ), roots AS (SELECT oid FROM reads WHERE NOT walks), ${FAMILY}
       SELECT coalesce((SELECT array_agg(oid::regclass::text) FROM reads WHERE NOT walks), '{}') AS named,
              coalesce((SELECT array_agg(f.oid::regclass::text) FROM family f JOIN pg_class c USING (oid)
                        WHERE c.relkind IN ('r', 'p')), '{}') AS tables,
              pg_get_viewdef($1::regclass) LIKE '%rate()%' AS calls`,
      [quoteQualifiedName(view)],
    );
    return {
      named: new Set(row?.named),
      tables: new Set(row?.tables),
      callsRate: row?.calls ?? false,
    };
  }

  /** What `on` names, in the form of `Reads.named`. */
  function namedOn({ freshness }: ViewDefinition): Set<string> {
    return new Set(
      (freshness?.tables ?? []).map(({ schema, name }) => {
        const plain = name === 'recent' ? 'items' : name;
        return schema === 'public' ? plain : quoteQualifiedName({ schema, name });
      }),
    );
  }

  /** Whether all that the view reads is declared. If so, no change may be missed. */
  function isAllDeclared(definition: ViewDefinition, reads: Reads): boolean {
    const on = namedOn(definition);
    return (
      (definition.freshness?.readsSources || [...reads.named].every((each) => on.has(each))) &&
      (!reads.callsRate || on.has('rates'))
    );
  }

  async function stateOf(view: QualifiedName): Promise<{
    capture: CaptureRecord | null;
    isPaused: boolean;
    failureCount: number;
  }> {
    const [row] = await database.query<{
      capture: CaptureRecord | null;
      isPaused: boolean;
      failureCount: number;
    }>(
      `SELECT capture, paused_at IS NOT NULL AS "isPaused", failure_count AS "failureCount"
       FROM ${STATE}.view_state WHERE schema_name = $1 AND view_name = $2`,
      [view.schema, view.name],
    );
    return row ?? { capture: null, isPaused: false, failureCount: 0 };
  }

  async function capturedTables(): Promise<Set<string>> {
    const rows = await database.query<{ name: string }>(
      `SELECT tgrelid::regclass::text AS name FROM pg_trigger
       WHERE tgname LIKE '${STATE}_capture%' AND tgenabled = 'A' GROUP BY 1 HAVING count(*) = 4`,
    );
    return new Set(rows.map(({ name }) => name));
  }

  const staleNow = (view: QualifiedName): Promise<boolean> => isStale(database.client, view);

  /** A tick may only skip a fresh view, and a view that it refreshes is fresh afterwards. */
  async function tick(app: RunningApp, definition: ViewDefinition): Promise<void> {
    const wasStale = await staleNow(definition.name);
    const reads = await readsOf(definition.name);
    const outcome = await app.tick(definition);
    if (outcome === 'unchanged' && isAllDeclared(definition, reads)) {
      expect({ view: definition.name, outcome, wasStale }).toMatchObject({ wasStale: false });
    }
    if (outcome === 'refreshed') {
      expect(await staleNow(definition.name)).toBe(false);
    }
  }

  /** No app reports a stale view as unchanged. */
  async function checkAnswers(): Promise<void> {
    for (const view of await existing()) {
      if (await staleNow(view)) {
        const reads = await readsOf(view);
        for (const app of running()) {
          const definition = app.declares(view);
          const name = `${view.schema}.${view.name}`;
          if (definition?.freshness && isAllDeclared(definition, reads)) {
            const { changes } = await app.module.get(RefreshService).status(name);
            expect({ view, told: changes?.isUnchanged }).toEqual({ view, told: false });
          }
        }
      }
    }
  }

  /** Resolves when three polls in a row refresh nothing. Fails after eight polls. */
  async function untilQuiet(): Promise<void> {
    const rounds: number[] = [];
    while (rounds.length < 8 && rounds.slice(-3).join() !== '0,0,0') {
      const counts = await Promise.all(running().map((app) => app.look()));
      rounds.push(counts.reduce((sum, count) => sum + count, 0));
    }
    expect(rounds.slice(-3)).toEqual([0, 0, 0]);
  }

  /** Repairs and polls as if all changes and refreshes were 2 hours older. Then the views must be fresh. */
  async function rest(): Promise<void> {
    for (const app of running()) {
      await app.repair();
    }
    await database.query(
      `UPDATE ${STATE}.change_log SET changed_at = changed_at - interval '2 h';
       UPDATE ${STATE}.view_state SET last_started_at = last_started_at - interval '2 h',
         last_success_at = last_success_at - interval '2 h',
         last_unchanged_at = last_unchanged_at - interval '2 h', known_since = known_since - interval '2 h'`,
    );
    await checkStatuses();
    await untilQuiet();
    for (const app of running()) {
      await checkFresh(app);
    }
  }

  /** Refreshes all views, then checks that no write to a table is missed. */
  async function checkEachTable(): Promise<void> {
    for (const table of ['items_1', 'notes', 'rates']) {
      for (const app of running()) {
        for (const view of await existing()) {
          if (app.declares(view)) {
            await refreshBy(app, view, 'service');
          }
        }
      }
      await checkAnswers();
      await stranger.query(`UPDATE ${table} SET v = v + 1`);
      await stranger.query(`INSERT INTO ${table} SELECT * FROM ${table} LIMIT 1`);
      await checkAnswers();
    }
  }

  /** A view that exceeds its `maxStaleness` is reported as stale. */
  async function checkStatuses(): Promise<void> {
    for (const view of await existing()) {
      for (const app of (await staleNow(view)) ? running() : []) {
        if (app.declares(view)?.freshness?.maxStalenessMs !== undefined) {
          const { isStale } = await app.module
            .get(RefreshService)
            .status(`${view.schema}.${view.name}`);
          expect({ view, isStale }).toEqual({ view, isStale: true });
        }
      }
    }
  }

  async function checkFresh(app: RunningApp): Promise<void> {
    const views = await existing();
    const captured = await capturedTables();
    const limited = await limitedBy(app, views);
    for (const definition of app.definitions.filter(({ name }) =>
      views.some((view) => view.name === name.name),
    )) {
      const view = definition.name;
      const { capture, isPaused, failureCount } = await stateOf(view);
      expect({ view, failureCount }).toEqual({ view, failureCount: 0 });
      const reads = await readsOf(view);
      const isCaptured = [...reads.tables, ...namedOn(definition)].every(
        (table) => captured.has(table) || views.some((each) => quoted(each) === table),
      );
      const follows =
        definition.freshness?.onWrite !== undefined &&
        isAllDeclared(definition, reads) &&
        tracksAllDeclared(definition, capture) &&
        (isCaptured || (app.mayCreate && !isLeftOpen));
      if ((follows || limited.has(quoted(view))) && !isPaused) {
        expect({ view, isStale: await staleNow(view) }).toEqual({ view, isStale: false });
      }
    }
  }

  /** The views with `maxStaleness` and those below them: only if both are fresh are the rows of the former fresh. */
  async function limitedBy(app: RunningApp, views: QualifiedName[]): Promise<Set<string>> {
    const limits = app.definitions.filter(({ freshness }) => freshness?.maxStalenessMs);
    const names = new Set(limits.map(({ name }) => quoted(name)));
    // Iterating a Set also visits what is added meanwhile.
    for (const name of names) {
      const view = views.find((each) => quoted(each) === name);
      const { named } = view ? await readsOf(view) : { named: [] };
      // The app does not refresh a view that it does not declare, nor those below it.
      [...named]
        .filter((each) => app.definitions.some((definition) => quoted(definition.name) === each))
        .forEach((each) => names.add(each));
    }
    return names;
  }

  const quoted = ({ schema, name }: QualifiedName): string =>
    schema === 'public' ? name : quoteQualifiedName({ schema, name });

  /** After a boot that may change everything, exactly the declared tables are tracked. */
  async function checkLastRelease(release: Release): Promise<void> {
    await endOpen();
    await Promise.all([0, 1].map(stop));
    await start(0, release);
    const [app] = running();
    if (app === undefined) {
      return;
    }
    await checkAnswers();
    await database.query(`UPDATE ${STATE}.view_state SET paused_at = NULL`);
    await rest();
    const wanted = new Set<string>();
    for (const definition of app.definitions.filter(({ freshness }) => freshness)) {
      const reads = await readsOf(definition.name);
      const all = [
        ...(definition.freshness?.readsSources ? reads.tables : []),
        ...(await familyOf(namedOn(definition))),
      ];
      all.forEach((table) => wanted.add(table));
    }
    expect([...(await capturedTables())].sort()).toEqual([...wanted].sort());
    await app.module.get(SchemaService).dropAll();
    expect(
      await database.query(
        `SELECT tgname FROM pg_trigger WHERE tgname LIKE '${STATE}%' AND tgname LIKE '%capture%'`,
      ),
    ).toEqual([]);
  }

  async function familyOf(names: Set<string>): Promise<string[]> {
    const rows = await database.query<{ name: string }>(
      `WITH RECURSIVE roots AS (SELECT unnest($1::text[])::regclass::oid AS oid), ${FAMILY}
       SELECT oid::regclass::text AS name FROM family JOIN pg_class c USING (oid) WHERE relkind IN ('r', 'p')`,
      [[...names]],
    );
    return rows.map(({ name }) => name);
  }

  async function checkHistory([first, more, last]: [Step, Step[], Release]): Promise<void> {
    await closeAll();
    await reset();
    lastViews = [];
    for (const step of [first, ...more]) {
      await perform(step);
      if (await isInstalled()) {
        await checkAnswers();
      } else {
        return;
      }
    }
    await rest();
    await checkEachTable();
    await rest();
    await checkLastRelease(last);
  }

  async function isInstalled(): Promise<boolean> {
    const rows = await database.query(
      `SELECT FROM pg_class WHERE oid = to_regclass('${STATE}.change_log')`,
    );
    return rows.length > 0;
  }

  it('leaves no view with old rows, refreshes none endlessly, and reports that', async () => {
    await fc.assert(fc.asyncProperty(anyHistory, checkHistory), {
      seed: Number(process.env.FC_SEED ?? 20261121),
      // Each takes about a second.
      numRuns: Math.ceil(Number(process.env.FC_RUNS ?? 50) / 2),
      interruptAfterTimeLimit: 150_000,
      markInterruptAsFailure: false,
    });
  }, 240_000);
});
