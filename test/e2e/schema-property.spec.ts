import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import fc from 'fast-check';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { escapeIdentifier } from 'pg';
import {
  MaterializedViewsModule,
  SchemaService,
  SYNC_CHANNEL,
  type SyncReport,
  UnmanagedDependentsError,
  type ViewIndexKey,
  type ViewIndexOptions,
} from '../../lib/index.js';
import { catalog } from '../support/catalog.js';
import { boot, typeOrm } from '../support/test-app.js';
import { TestDatabase } from '../support/test-database.js';
import { type TestView, viewClass } from '../support/view-class.js';

type Options = NonNullable<Parameters<typeof MaterializedViewsModule.forRoot>[0]>;

/*
 * A few views that live through releases of an application, each chosen at random: they read a table or
 * each other, change their columns, indexes and attributes, come, go and change their names, while
 * somebody works on the database by hand. After each boot the database is as declared.
 */

/** Each view has a name of its own; the last is for the one that is renamed. */
const NAMES = [
  { schema: 'public', name: 'alpha' },
  { schema: 'Far away', name: 'alpha' },
  { schema: 'public', name: 'alpha beta' },
  { schema: 'Far away', name: 'The "Omega"' },
  { schema: 'public', name: 'alpha beta "Gamma"' },
] as const;
const SPARE_NAME = NAMES.length - 1;
const VIEW_COUNT = NAMES.length - 1;
const COLUMNS = ['id', 'grp', 'amount', 'note'];

interface IndexSpec {
  slot: number;
  key: string | ViewIndexKey;
  withId: boolean;
  isUnique: boolean;
  where?: string;
}

type ViewStorage = Record<string, string | number | boolean>;

interface ViewSpec {
  shape: 'filter' | 'star' | 'group' | 'join';
  /** Taken modulo what may be read: the table and the views before it. */
  sources: [number, number];
  columns: string[];
  modulus: number;
  indexes: IndexSpec[];
  storage?: ViewStorage;
  comment?: string;
  withData: boolean;
}

type HandWork = 'drop' | 'empty' | 'replace' | 'drop an index' | 'storage' | 'widen the table';

/** What the next release changes. */
interface Step {
  /** Which views there are, each after those that it may read. */
  order?: number[];
  changes: { view: number; spec: ViewSpec }[];
  /** The view that has the spare name. */
  renamed?: number;
  byHand?: { view: number; work: HandWork };
  prune: boolean;
}

const anyIndex: fc.Arbitrary<IndexSpec> = fc.record(
  {
    slot: fc.nat({ max: 2 }),
    key: fc.constantFrom<string | ViewIndexKey>(
      'id',
      'grp',
      'amount',
      'note',
      { property: 'grp', order: 'DESC' },
      { property: 'amount', order: 'DESC', nulls: 'LAST' },
      { property: 'grp', collation: 'C', operatorClass: 'text_pattern_ops' },
      { expression: 'lower(grp)' },
      { expression: 'id % 7', order: 'DESC' },
    ),
    withId: fc.boolean(),
    isUnique: fc.boolean(),
    where: fc.constantFrom('id > 3', 'id IS NOT NULL'),
  },
  { requiredKeys: ['slot', 'key', 'withId', 'isUnique'] },
);

const anyView: fc.Arbitrary<ViewSpec> = fc.record(
  {
    shape: fc.constantFrom<ViewSpec['shape']>('filter', 'star', 'group', 'join'),
    sources: fc.tuple(fc.nat({ max: 11 }), fc.nat({ max: 11 })),
    columns: fc.shuffledSubarray(COLUMNS.slice(1)),
    modulus: fc.integer({ min: 1, max: 4 }),
    indexes: fc.uniqueArray(anyIndex, { selector: ({ slot }) => slot, maxLength: 3 }),
    withData: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.boolean()),
    storage: fc.constantFrom<ViewStorage>(
      {},
      { fillfactor: 70 },
      { fillfactor: 90, autovacuum_enabled: false },
    ),
    comment: fc.constantFrom<string>('', 'plain', `it's "quoted"`),
  },
  { requiredKeys: ['shape', 'sources', 'columns', 'modulus', 'indexes', 'withData'] },
);

const aView = fc.nat({ max: VIEW_COUNT - 1 });

const anyStep: fc.Arbitrary<Step> = fc.record(
  {
    order: fc.shuffledSubarray([...Array(VIEW_COUNT).keys()], { minLength: 1 }),
    changes: fc.array(fc.record({ view: aView, spec: anyView }), { maxLength: 3 }),
    renamed: aView,
    byHand: fc.record({
      view: aView,
      work: fc.constantFrom<HandWork>(
        'drop',
        'empty',
        'replace',
        'drop an index',
        'storage',
        'widen the table',
      ),
    }),
    prune: fc.boolean(),
  },
  { requiredKeys: ['changes', 'prune'] },
);

const anyHistory = fc
  .tuple(
    fc.array(anyView, { minLength: VIEW_COUNT, maxLength: VIEW_COUNT }),
    fc.array(anyStep, { minLength: 1, maxLength: 4 }),
  )
  .map(([views, steps]): Step[] => [
    {
      order: [...Array(VIEW_COUNT).keys()],
      changes: views.map((spec, view) => ({ view, spec })),
      prune: false,
    },
    ...steps,
  ]);

/** A view of a release, with its place among the names. */
interface ReleasedView extends TestView {
  view: number;
  schema: string;
  name: string;
  expression: string;
  columns: string[];
  indexes: ViewIndexOptions[];
  reads: number[];
}

/** The code of the application: each step makes the next release of it. */
class Application {
  order: number[] = [];
  readonly tableColumns = [...COLUMNS];
  private readonly specs = new Map<number, ViewSpec>();
  private renamed?: number;
  /** Under which name each view is in the database. */
  readonly nameOf = new Map<number, number>();

  next(step: Step): ReleasedView[] {
    step.changes.forEach(({ view, spec }) => this.specs.set(view, spec));
    this.order = step.order ?? this.order;
    const holder = [...this.nameOf].find(([, name]) => name === SPARE_NAME)?.[0];
    // The spare name is free for another view only once the one that had it has given it back.
    this.renamed = holder === undefined || holder === step.renamed ? step.renamed : undefined;
    const release = new Map<number, ReleasedView>();
    this.order.forEach((view) => release.set(view, this.released(view, release)));
    // In an order that has nothing to do with who reads whom.
    return [...release.values()].sort((a, b) => a.view - b.view);
  }

  forget(view: number): void {
    this.nameOf.delete(view);
  }

  private released(view: number, before: ReadonlyMap<number, ReleasedView>): ReleasedView {
    const spec = this.specs.get(view);
    if (spec === undefined) {
      throw new Error(`View ${view} was never described`);
    }
    const place = this.renamed === view ? SPARE_NAME : view;
    const { schema, name } = NAMES[place] ?? NAMES[0];
    const previous = NAMES[this.nameOf.get(view) ?? place];
    const readable = [undefined, ...before.values()];
    const sources = spec.sources.map((source) => readable[source % readable.length]);
    const read = this.query(spec, sources);
    return {
      view,
      schema,
      name,
      ...read,
      ...(spec.storage && { storage: spec.storage }),
      ...(spec.comment !== undefined && { comment: spec.comment }),
      ...(previous &&
        previous.name !== name && { renamedFrom: `${previous.schema}.${previous.name}` }),
      // One that reads a view without rows cannot be filled.
      withData: spec.withData && read.reads.every((each) => before.get(each)?.withData),
      indexes: spec.indexes.flatMap((index) =>
        indexOf(index, { view, place: `${schema} ${name}`, columns: read.columns }),
      ),
    };
  }

  private query(
    spec: ViewSpec,
    sources: (ReleasedView | undefined)[],
  ): Pick<ReleasedView, 'expression' | 'columns' | 'reads'> {
    const [left, right] = sources.map((source) => ({
      sql: source ? quoted(source) : 'public.items',
      columns: source?.columns ?? this.tableColumns,
      reads: source ? [source.view] : [],
    }));
    if (left === undefined || right === undefined) {
      throw new Error('Two sources are needed');
    }
    const columns = spec.columns.filter((column) => left.columns.includes(column));
    const { modulus } = spec;
    if (spec.shape === 'star') {
      return { expression: `SELECT * FROM ${left.sql}`, columns: left.columns, reads: left.reads };
    }
    if (spec.shape === 'group' && left.columns.includes('grp')) {
      return {
        expression: `SELECT grp, min(id) AS id FROM ${left.sql} GROUP BY grp HAVING count(*) > ${modulus}`,
        columns: ['grp', 'id'],
        reads: left.reads,
      };
    }
    if (spec.shape === 'join') {
      const others = right.columns.filter((column) => column !== 'id' && !columns.includes(column));
      const list = [...columns.map((c) => `l.${c}`), ...others.map((c) => `r.${c}`)];
      return {
        expression: `SELECT ${['l.id', ...list].join(', ')} FROM ${left.sql} l JOIN ${right.sql} r USING (id)`,
        columns: ['id', ...columns, ...others],
        reads: [...left.reads, ...right.reads],
      };
    }
    return {
      expression: `SELECT ${[...columns, 'id'].join(', ')} FROM ${left.sql} WHERE id % ${modulus} = 0`,
      columns: [...columns, 'id'],
      reads: left.reads,
    };
  }
}

/** The first index keeps its name when its view is renamed; the others are named after it. */
function indexOf(
  { slot, key, withId, isUnique, where }: IndexSpec,
  { view, place, columns }: { view: number; place: string; columns: string[] },
): ViewIndexOptions[] {
  const column = columnOf(key);
  if (!columns.includes(column)) {
    return [];
  }
  const keys = withId && column !== 'id' ? [key, 'id'] : [key];
  return [
    {
      name: slot === 0 ? `key of ${view}` : `${place}_${slot}`,
      keys,
      unique: isUnique && keys.includes('id'),
      ...(where && { where }),
    },
  ];
}

function columnOf(key: string | ViewIndexKey): string {
  const { property, expression } = typeof key === 'string' ? { property: key } : key;
  return property ?? (expression === 'lower(grp)' ? 'grp' : 'id');
}

const quoted = ({ schema, name }: { schema: string; name: string }): string =>
  `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`;

const fullName = ({ schema, name }: { schema: string; name: string }): string =>
  `${schema}.${name}`;

function indexSql({ name, keys, unique, where }: ViewIndexOptions, table: string): string {
  const list = keys.map((key) => {
    const { property, expression, collation, operatorClass, order, nulls } =
      typeof key === 'string' ? ({ property: key } as ViewIndexKey) : key;
    return [
      expression === undefined ? escapeIdentifier(property ?? '') : `(${expression})`,
      collation && `COLLATE ${escapeIdentifier(collation)}`,
      operatorClass,
      order,
      nulls && `NULLS ${nulls}`,
    ]
      .filter(Boolean)
      .join(' ');
  });
  return `CREATE ${unique ? 'UNIQUE ' : ''}INDEX ${escapeIdentifier(name)} ON ${table} USING btree (${list.join(', ')})${where ? ` WHERE ${where}` : ''}`;
}

/** The views without what this file alone knows of them. */
const declarationsOf = (views: ReleasedView[]): TestView[] =>
  views.map((view) => {
    const declared: Partial<ReleasedView> & TestView = { ...view };
    delete declared.view;
    delete declared.reads;
    return declared;
  });

/** What a step did, for the report of a counterexample. */
function describeRelease(views: ReleasedView[], step: Step): string {
  const hand = step.byHand ? `  by hand: ${step.byHand.work} (view ${step.byHand.view})\n` : '';
  return `${hand}  boot${step.prune ? ' with prune' : ''}:\n${views
    .map(
      ({ view, expression, withData, indexes, storage, comment, renamedFrom, ...name }) =>
        `    ${view} ${quoted(name)} AS ${expression}${withData ? '' : ' WITH NO DATA'}` +
        [
          renamedFrom && `renamedFrom ${renamedFrom}`,
          storage && `storage ${JSON.stringify(storage)}`,
          comment !== undefined && `comment ${JSON.stringify(comment)}`,
          ...indexes.map((index) => indexSql(index, '')),
        ]
          .filter(Boolean)
          .map((line) => `\n        ${String(line)}`)
          .join(''),
    )
    .join('\n')}`;
}

interface Found {
  oid: number;
  name: string;
  definition: string;
  populated: boolean;
  options: string[];
  comment: string | null;
  granted: boolean;
  idComment: string | null;
  indexes: Record<string, string>;
}

describe('any sequence of releases', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let reports: SyncReport[] = [];
  const collect = (report: unknown): void => void reports.push(report as SyncReport);

  beforeAll(async () => {
    subscribe(SYNC_CHANNEL, collect);
    database = await TestDatabase.create();
  });

  beforeEach(reset);

  afterEach(close);

  afterAll(async () => {
    unsubscribe(SYNC_CHANNEL, collect);
    await database.drop();
  });

  async function close(): Promise<void> {
    await app?.close();
    app = undefined;
  }

  async function reset(): Promise<void> {
    reports = [];
    await database.query(`DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE`);
    await database.query(`CREATE SCHEMA public`);
    await database.query(
      `CREATE TABLE items (id int PRIMARY KEY, grp text, amount int, note text)`,
    );
    await database.query(
      `INSERT INTO items SELECT i, chr(96 + i % 5), i * 10, 'note ' || i FROM generate_series(1, 20) i`,
    );
  }

  async function release(
    views: TestView[],
    prune = false,
    options: Options = {},
  ): Promise<SchemaService> {
    await close();
    const entities = views.map(viewClass);
    app = await boot(
      typeOrm(database, { autoLoadEntities: false, entities: entities as (new () => object)[] }),
      MaterializedViewsModule.forRoot({ scheduling: false, prune, ...options }),
    );
    return app.get(SchemaService);
  }

  async function found(): Promise<Map<string, Found>> {
    const rows = await database.query<Found>(`
      SELECT c.oid::int, nspname || '.' || relname AS name, pg_get_viewdef(c.oid) AS definition,
             relispopulated AS populated, coalesce(reloptions, '{}') AS options,
             obj_description(c.oid, 'pg_class') AS comment,
             coalesce(has_table_privilege('pg_monitor', c.oid, 'SELECT'), false) AS granted,
             (SELECT col_description(c.oid, attnum) FROM pg_attribute
              WHERE attrelid = c.oid AND attname = 'id') AS "idComment",
             (SELECT coalesce(json_object_agg(i.relname, pg_get_indexdef(i.oid)), '{}')
              FROM pg_index JOIN pg_class i ON i.oid = indexrelid WHERE indrelid = c.oid) AS indexes
      FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      WHERE relkind = 'm'`);
    return new Map(rows.map((row) => [row.name, row]));
  }

  /** Puts an index on a column that always is, one on a column that comes and goes, a grant and a comment. */
  async function decorate({ view, columns, ...name }: ReleasedView): Promise<void> {
    await database.query(`CREATE INDEX "hand ${view} id" ON ${quoted(name)} (id DESC, (id + 1))`);
    if (columns.includes('grp')) {
      await database.query(`CREATE INDEX "hand ${view} grp" ON ${quoted(name)} (lower(grp))`);
    }
    await database.query(`GRANT SELECT ON ${quoted(name)} TO pg_monitor`);
    await database.query(`COMMENT ON COLUMN ${quoted(name)}.id IS 'of ${view}'`);
  }

  async function workByHand({ view, work }: NonNullable<Step['byHand']>, code: Application) {
    const place = NAMES[code.nameOf.get(view) ?? -1];
    const there = place && (await found()).get(fullName(place));
    if (work === 'widen the table') {
      await database.query('ALTER TABLE items ADD COLUMN IF NOT EXISTS extra int');
      code.tableColumns.splice(COLUMNS.length, 1, 'extra');
    } else if (place === undefined || there === undefined) {
      return;
    } else if (work === 'drop' || work === 'replace') {
      await database.query(`DROP MATERIALIZED VIEW ${quoted(place)} CASCADE`);
      if (work === 'replace') {
        await database.query(`CREATE MATERIALIZED VIEW ${quoted(place)} AS SELECT 1 AS id`);
      }
    } else if (work === 'empty') {
      await database.query(`REFRESH MATERIALIZED VIEW ${quoted(place)} WITH NO DATA`);
    } else if (work === 'storage') {
      await database.query(`ALTER MATERIALIZED VIEW ${quoted(place)} SET (fillfactor = 33)`);
    } else {
      const own = Object.keys(there.indexes).find((name) => !name.startsWith('hand'));
      if (own !== undefined) {
        await database.query(`DROP INDEX ${quoted({ schema: place.schema, name: own })}`);
      }
    }
  }

  /** What belongs to no class any more may stand in the way of a change: then nothing has happened. */
  async function releaseInSpiteOfOrphans(
    views: ReleasedView[],
    prune: boolean,
  ): Promise<{ schema: SchemaService; before: Map<string, Found> }> {
    const [before, state] = [await found(), await catalog(database)];
    try {
      return { schema: await release(declarationsOf(views), prune), before };
    } catch (error) {
      const declared = new Set(views.flatMap((view) => [fullName(view), view.renamedFrom]));
      const orphans = [...(await found()).keys()].filter((name) => !declared.has(name));
      if (!(error instanceof UnmanagedDependentsError) || orphans.length === 0) {
        throw error;
      }
      expect(await catalog(database)).toEqual(state);
      for (const place of NAMES.filter((name) => orphans.includes(fullName(name)))) {
        await database.query(`DROP MATERIALIZED VIEW IF EXISTS ${quoted(place)} CASCADE`);
      }
      const left = await found();
      return { schema: await release(declarationsOf(views), prune), before: left };
    }
  }

  /** The definition and the indexes of a declared view as PostgreSQL would have them. */
  async function expected(view: ReleasedView): Promise<Pick<Found, 'definition' | 'indexes'>> {
    await database.query('BEGIN');
    try {
      await database.query(`CREATE TEMP VIEW wanted AS ${view.expression}`);
      await database.query(`CREATE TEMP TABLE shape AS SELECT * FROM wanted WITH NO DATA`);
      for (const index of view.indexes) {
        await database.query(indexSql(index, 'pg_temp.shape'));
      }
      const [definition] = await database.query<{ text: string }>(
        `SELECT pg_get_viewdef('pg_temp.wanted'::regclass) AS text`,
      );
      const indexes = await database.query<{ name: string; text: string }>(
        `SELECT relname AS name, pg_get_indexdef(indexrelid) AS text
         FROM pg_index JOIN pg_class c ON c.oid = indexrelid
         WHERE indrelid = 'pg_temp.shape'::regclass`,
      );
      return {
        definition: definition?.text ?? '',
        indexes: Object.fromEntries(indexes.map(({ name, text }) => [name, bodyOf(text)])),
      };
    } finally {
      await database.query('ROLLBACK');
    }
  }

  const bodyOf = (index: string): string =>
    `${index.startsWith('CREATE UNIQUE') ? 'UNIQUE ' : ''}${index.slice(index.indexOf(' USING '))}`;

  async function checkView(
    view: ReleasedView,
    views: ReleasedView[],
    { now, previous }: { now: Map<string, Found>; previous: Found | undefined },
  ): Promise<void> {
    const there = now.get(fullName(view));
    if (there === undefined) {
      throw new Error(`${fullName(view)} is not there`);
    }
    const wanted = await expected(view);
    const isFilled = (read: number): boolean =>
      views.some((each) => each.view === read && now.get(fullName(each))?.populated);
    const library = Object.entries(there.indexes).filter(([name]) => !name.startsWith('hand'));
    const options = view.storage
      ? Object.entries(view.storage).map(([name, value]) => `${name}=${String(value)}`)
      : (previous?.options ?? []);
    expect({
      definition: there.definition,
      indexes: Object.fromEntries(library.map(([name, text]) => [name, bodyOf(text)])),
      options: [...there.options].sort(),
      comment: there.comment ?? '',
      populated: there.populated,
    }).toEqual({
      ...wanted,
      options: options.sort(),
      comment: view.comment ?? previous?.comment ?? '',
      populated:
        view.withData ||
        (previous?.populated === true &&
          (there.oid === previous.oid || view.reads.every(isFilled))),
    });
    if (previous !== undefined) {
      const handMade = ['id', ...(view.columns.includes('grp') ? ['grp'] : [])]
        .map((column) => `hand ${view.view} ${column}`)
        .filter((name) => name in previous.indexes);
      expect(Object.keys(there.indexes)).toEqual(expect.arrayContaining(handMade));
      expect([there.granted, there.idComment]).toEqual([previous.granted, previous.idComment]);
    }
  }

  /** A view has the rows of its query, unless it or something below it has none. */
  async function checkRows(views: ReleasedView[], now: Map<string, Found>): Promise<void> {
    const hasRows = (view: ReleasedView): boolean =>
      now.get(fullName(view))?.populated === true &&
      view.reads.every((each) => views.some((other) => other.view === each && hasRows(other)));
    for (const view of views.filter(hasRows)) {
      const differences = await database.query(
        `(SELECT * FROM ${quoted(view)} EXCEPT ALL (${view.expression}))
         UNION ALL ((${view.expression}) EXCEPT ALL SELECT * FROM ${quoted(view)})`,
      );
      expect({ view: fullName(view), differences }).toEqual({
        view: fullName(view),
        differences: [],
      });
    }
  }

  async function checkStep(code: Application, step: Step, log: string[]): Promise<void> {
    if (step.byHand) {
      await workByHand(step.byHand, code);
    }
    const views = code.next(step);
    log.push(describeRelease(views, step));
    const { schema, before } = await releaseInSpiteOfOrphans(views, step.prune);
    expect((await schema.diff()).filter(({ kind }) => kind !== 'orphan')).toEqual([]);
    const now = await found();
    for (const view of views) {
      const oldName = NAMES[code.nameOf.get(view.view) ?? -1];
      await checkView(view, views, {
        now: now,
        previous: oldName && before.get(fullName(oldName)),
      });
    }
    await checkRows(views, now);
    expect(
      await database.query(
        `SELECT relname FROM pg_class WHERE relname LIKE 'mv\\_build\\_%'
         UNION ALL SELECT stxname FROM pg_statistic_ext WHERE stxname LIKE 'mv\\_build\\_%'`,
      ),
    ).toEqual([]);
    if (step.prune) {
      expect([...now.keys()].sort()).toEqual(views.map((view) => fullName(view)).sort());
    }
    for (const [view, place] of [...code.nameOf]) {
      if (!now.has(fullName(NAMES[place] ?? NAMES[0]))) {
        code.forget(view);
      }
    }
    for (const view of views) {
      code.nameOf.set(
        view.view,
        NAMES.findIndex((name) => fullName(name) === fullName(view)),
      );
      if (!(`hand ${view.view} id` in (now.get(fullName(view))?.indexes ?? {}))) {
        await decorate(view);
      }
    }
    const settled = await catalog(database);
    await release(declarationsOf(views));
    expect(reports.at(-1)?.counts).toEqual({
      created: 0,
      changed: 0,
      indexed: 0,
      unchanged: views.length,
      orphaned: now.size - views.length,
      skipped: 0,
      failed: 0,
    });
    expect(await catalog(database)).toEqual(settled);
  }

  async function checkHistory(steps: Step[]): Promise<void> {
    await close();
    await reset();
    const code = new Application();
    const log: string[] = [];
    for (const step of steps) {
      try {
        await checkStep(code, step, log);
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        throw new Error(
          `${message}\n\nThe releases, the last of which failed:\n${log.join('\n')}`,
          {
            cause: error,
          },
        );
      }
    }
  }

  it('ends in what is declared, with nothing lost and nothing left over', async () => {
    await fc.assert(fc.asyncProperty(anyHistory, checkHistory), {
      seed: Number(process.env.FC_SEED ?? 20261121),
      numRuns: Number(process.env.FC_RUNS ?? 50),
      interruptAfterTimeLimit: 150_000,
      markInterruptAsFailure: false,
    });
  }, 240_000);

  describe('found before', () => {
    const first: TestView = { name: 'alpha', expression: 'SELECT id FROM items' };
    const above: TestView = { name: 'above', expression: 'SELECT id FROM alpha' };
    const changed: TestView = { ...first, expression: 'SELECT id FROM items WHERE id > 5' };

    const isSettled = async (schema: SchemaService): Promise<void> => {
      expect(await schema.diff()).toEqual([]);
    };

    it('an index that is declared no more goes with a changed definition', async () => {
      await release([{ ...first, indexes: [{ name: 'alpha_id', keys: ['id'] }] }]);
      await isSettled(await release([changed]));
      expect(Object.keys((await found()).get('public.alpha')?.indexes ?? {})).toEqual([]);
    });

    it('an index that is declared no more goes from a view above a changed one', async () => {
      await release([first, { ...above, indexes: [{ name: 'above_id', keys: ['id'] }] }]);
      await isSettled(await release([changed, above]));
      expect(Object.keys((await found()).get('public.above')?.indexes ?? {})).toEqual([]);
    });

    it('a view moves to a schema in which its old name is taken', async () => {
      await release([first, { ...changed, schema: 'Far away' }]);
      await isSettled(
        await release([
          first,
          { ...changed, name: 'beta', schema: 'public', renamedFrom: 'Far away.alpha' },
        ]),
      );
    });

    it('a view moves out of a schema in which its new name is taken', async () => {
      const beta = { ...changed, name: 'beta' };
      await release([first, beta]);
      await isSettled(
        await release([
          beta,
          { ...first, name: 'beta', schema: 'Far away', renamedFrom: 'public.alpha' },
        ]),
      );
    });

    it('a view takes the name of one that was dropped by hand', async () => {
      await release([first, { ...first, name: 'beta' }]);
      await database.query('DROP MATERIALIZED VIEW beta');
      await isSettled(await release([{ ...first, name: 'beta', renamedFrom: 'alpha' }]));
    });

    it('views without data are filled from below', async () => {
      const empty = [above, first].map((view) => ({ ...view, withData: false }));
      await release(empty);
      await isSettled(await release([above, first]));
    });

    it('a new view reads one that is being filled', async () => {
      await release([{ ...first, withData: false }]);
      await isSettled(await release([above, first]));
    });

    it('a changed view reads one that is being filled', async () => {
      await release([first, above]);
      await database.query('REFRESH MATERIALIZED VIEW alpha WITH NO DATA');
      await isSettled(
        await release([first, { ...above, expression: 'SELECT id FROM alpha WHERE id > 5' }]),
      );
    });

    it.each([[[first, above]], [[above, first]]])(
      'orphans that read each other are pruned, whichever was declared first',
      async (views) => {
        await release(views);
        await isSettled(await release([], true));
        expect((await found()).size).toBe(0);
      },
    );

    it('an orphan that reads a changed view is pruned', async () => {
      await release([first, above]);
      await isSettled(await release([changed], true));
      expect([...(await found()).keys()]).toEqual(['public.alpha']);
    });

    it('an older release does not undo a newer view by changing one below it', async () => {
      const newer = { ...above, expression: 'SELECT id, 2 AS two FROM alpha', version: 2 };
      await release([first, newer]);
      await release([changed, { ...above, version: 1 }]);
      expect((await found()).get('public.above')?.definition).toContain('two');
    });
  });
});
