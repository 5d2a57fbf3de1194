import fc from 'fast-check';
import type { MaterializedViewsModuleOptions } from '../../lib/index.js';
import { quoteQualifiedName } from '../../lib/postgres/identifier.js';
import { type TestView, viewClass, YEARLY } from './view-class.js';

/* Random sequences of steps on three views and the tables that they read. */

export const STATE = 'materialized_views';
export const LOW = { schema: 'Odd schema', name: `low "v'` };
const TOP = { schema: 'public', name: 'top' };
const SIDE = { schema: 'public', name: 'side' };
export const NAMES = [LOW, TOP, SIDE] as const;
const QUOTED_LOW = quoteQualifiedName(LOW);

const sumOf = (source: string, more = '0'): string =>
  `SELECT count(*)::int AS id, (coalesce(sum(v), 0) + ${more})::int AS v FROM ${source} AS s`;
const together = (...sources: string[]): string =>
  `(${sources.map((source) => `SELECT v FROM ${source}`).join(' UNION ALL ')})`;

/** The queries that a release may give each view. Those that call `rate` also read a table through that function. */
const EXPRESSIONS = [
  [
    sumOf('public.items'),
    sumOf('public.recent'),
    sumOf(together('public.items', 'public.notes')),
    sumOf('public.notes', 'public.rate()'),
  ],
  [
    sumOf(QUOTED_LOW),
    sumOf(together(QUOTED_LOW, 'public.notes')),
    sumOf('public.recent'),
    sumOf(QUOTED_LOW, 'public.rate()'),
  ],
  [
    sumOf('public.notes'),
    sumOf(together('public.top', QUOTED_LOW)),
    sumOf('public.rates'),
    sumOf(together('public.items_1', 'public.notes')),
  ],
] as const;

const NAMEABLE = ['public.items', 'public.notes', 'public.rates', 'public.recent'];
const NAMEABLE_BY_VIEW = [
  NAMEABLE,
  [...NAMEABLE, `${LOW.schema}.${LOW.name}`],
  [...NAMEABLE, `${LOW.schema}.${LOW.name}`, 'public.top'],
];

interface ViewRelease {
  expression: number;
  on?: 'sources' | string[];
  skips: boolean;
  limited: boolean;
  version?: number;
}

export interface Release {
  /** `null` means that the view's class is gone. */
  views: (ViewRelease | null)[];
  synchronize: NonNullable<MaterializedViewsModuleOptions['synchronize']>;
  onDrift?: 'continue';
  wakeUp: 'poll' | 'notify';
}

/** Each is committed or rolled back. */
const WRITES = [
  'INSERT INTO items SELECT max(id) + 1, 1, 5 FROM items',
  'INSERT INTO items VALUES (100, 2, 7)',
  'INSERT INTO items_1 VALUES (101, 1, 11)',
  'INSERT INTO items_3 VALUES (102, 3, 13)',
  'UPDATE items SET v = v + 1',
  'UPDATE items_2 SET v = v + 1',
  'UPDATE items_1 SET v = v + 1',
  'DELETE FROM items_1 WHERE id % 2 = 1',
  'TRUNCATE items_2',
  'TRUNCATE items',
  'INSERT INTO recent VALUES (103, 1, 17)',
  'INSERT INTO notes VALUES (1, 3)',
  'UPDATE notes SET v = v + 1',
  'DELETE FROM notes',
  'INSERT INTO rates VALUES (1, 19)',
  'UPDATE rates SET v = v + 1',
  'TRUNCATE rates',
  'UPDATE notes SET v = v WHERE false',
];

export const GRANTS = `GRANT USAGE ON SCHEMA public TO stranger; GRANT ALL ON ALL TABLES IN SCHEMA public TO stranger`;
export const RATES = 'CREATE TABLE rates (id int, v int)';
export const recent = (from: number): string =>
  `CREATE OR REPLACE VIEW recent AS SELECT id, k, v FROM items WHERE id > ${from}`;
export const rate = (times: number): string =>
  `CREATE OR REPLACE FUNCTION rate() RETURNS int STABLE LANGUAGE sql
   AS 'SELECT ${times} * coalesce(sum(v), 0)::int FROM public.rates'`;

export const DDL = {
  'ATTACH PARTITION': 'ALTER TABLE items ATTACH PARTITION items_3 FOR VALUES IN (3)',
  'DETACH PARTITION': 'ALTER TABLE items DETACH PARTITION items_3',
  'plain view': recent(1),
  'plain view back': recent(0),
  'trigger off': `ALTER TABLE items_1 DISABLE TRIGGER materialized_views_capture_insert`,
  'trigger on': `ALTER TABLE items_1 ENABLE ALWAYS TRIGGER materialized_views_capture_insert`,
  'all triggers off': `ALTER TABLE rates DISABLE TRIGGER ALL`,
  'triggers on': `ALTER TABLE rates ENABLE TRIGGER ALL`,
  'table anew': `DROP TABLE rates; ${RATES}; INSERT INTO rates VALUES (1, 1)`,
  function: rate(2),
  'function back': rate(1),
  'VACUUM FULL': 'VACUUM FULL items_1',
  'VACUUM FULL of another': 'VACUUM FULL rates',
};

/** Missing, wrong kind, or in use: such a step does nothing. */
export const DDL_REFUSALS = ['42P01', '42P07', '42704', '42809', '42P17', '2BP01'];

export type Refresh = 'service' | 'transaction' | 'rolled back' | 'by hand' | 'old rows';

export type Step =
  /** With `only`, the other views are declared as in the previous release. */
  | { do: 'boot'; slot: number; release: Release; only?: number }
  | { do: 'stop' | 'look' | 'apply' | 'rest'; slot: number }
  | { do: 'migrate'; slot: number; undoes: boolean }
  | { do: 'write'; write: string; commits: boolean; asStranger: boolean }
  | { do: 'leave open' | 'shrink the log' | 'race' }
  | { do: 'ddl'; ddl: keyof typeof DDL }
  | { do: 'refresh'; slot: number; view: number; how: Refresh }
  | { do: 'pause' | 'resume' | 'tick'; slot: number; view: number };

const aSlot = fc.nat({ max: 1 });
const aView = fc.nat({ max: NAMES.length - 1 });

const anyViewRelease = (view: number): fc.Arbitrary<ViewRelease> =>
  fc
    .record(
      {
        expression: fc.oneof(
          { weight: 3, arbitrary: fc.constant(0) },
          fc.nat({ max: (EXPRESSIONS[view]?.length ?? 1) - 1 }),
        ),
        on: fc.oneof(
          fc.constant<'sources'>('sources'),
          fc.subarray(NAMEABLE_BY_VIEW[view] ?? [], { minLength: 1 }),
        ),
        skips: fc.boolean(),
        limited: fc.oneof({ weight: 2, arbitrary: fc.constant(false) }, fc.boolean()),
        version: fc.constantFrom(1, 2),
      },
      { requiredKeys: ['expression', 'skips', 'limited'] },
    )
    // The library refuses these options for a query that calls a function that is not immutable.
    .map((release) =>
      callsRate(view, release) ? { ...release, skips: false, limited: false } : release,
    );

const callsRate = (view: number, { expression }: ViewRelease): boolean =>
  EXPRESSIONS[view]?.[expression]?.includes('rate()') ?? false;

const anyRelease = (policies: Release['synchronize'][]): fc.Arbitrary<Release> =>
  fc
    .record(
      {
        views: fc.tuple(
          ...NAMES.map((_, view) =>
            fc.oneof(
              { weight: 9, arbitrary: anyViewRelease(view) },
              { weight: 1, arbitrary: fc.constant(null) },
            ),
          ),
        ),
        synchronize: fc.constantFrom(...policies),
        wakeUp: fc.oneof(
          { weight: 4, arbitrary: fc.constant<'poll'>('poll') },
          fc.constant<'notify'>('notify'),
        ),
        onDrift: fc.constantFrom<'apply' | 'continue'>('apply', 'apply', 'continue'),
      },
      { requiredKeys: ['views', 'synchronize', 'wakeUp'] },
    )
    .map(({ onDrift, ...release }) => ({
      ...release,
      // `onDrift` has an effect only if changes may be applied.
      ...(release.synchronize === true && onDrift === 'continue' && { onDrift }),
    }));

const steps: { weight: number; arbitrary: fc.Arbitrary<Step> }[] = [
  {
    weight: 5,
    arbitrary: fc.record(
      {
        do: fc.constant('boot'),
        slot: aSlot,
        release: anyRelease([true, 'create', 'verify', false]),
        only: aView,
      },
      { requiredKeys: ['do', 'slot', 'release'] },
    ),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('write'),
      write: fc.constantFrom(...WRITES),
      commits: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
      asStranger: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('ddl'),
      ddl: fc.constantFrom(...(Object.keys(DDL) as (keyof typeof DDL)[])),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('refresh'),
      slot: aSlot,
      view: aView,
      how: fc.constantFrom<Refresh>('service', 'transaction', 'rolled back', 'by hand', 'old rows'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('stop', 'look', 'look', 'apply', 'rest', 'rest'),
      slot: aSlot,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('pause', 'resume', 'tick', 'tick'),
      slot: aSlot,
      view: aView,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('migrate'), slot: aSlot, undoes: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('leave open', 'shrink the log', 'race') }),
  },
];

/** Declares all views, so that each can be read. */
const complete = ({ views, ...release }: Release): Release => ({
  ...release,
  views: views.map((view) => view ?? { expression: 0, skips: false, limited: false }),
});

/** A release that may change every view. Without `version`, no view is older than the one in the database. */
const almighty = ({ views, ...release }: Release): Release => ({
  ...release,
  onDrift: undefined,
  views: views.map((view) => view && { ...view, version: undefined }),
});

export const anyHistory = fc.tuple(
  anyRelease([true, 'create']).map((release): Step => ({
    do: 'boot',
    slot: 0,
    release: complete(release),
  })),
  fc.array(fc.oneof(...steps), { minLength: 1, maxLength: 15, size: 'max' }),
  anyRelease([true]).map((release) => almighty(complete(release))),
);

const classes = new Map<string, ReturnType<typeof viewClass>>();

/** Returns the same class for equal declarations, because TypeORM never releases a class. */
export function classOf(view: number, release: ViewRelease): ReturnType<typeof viewClass> {
  const { expression, on, skips, limited, version } = release;
  const declared: TestView = {
    ...(NAMES[view] ?? LOW),
    expression: EXPRESSIONS[view]?.[expression] ?? '',
    columns: ['id', 'v'],
    ...(view === 2 && { key: ['id'] }),
    ...(version !== undefined && { version }),
    ...((on !== undefined || skips || limited) && {
      refresh: {
        ...(on && { on, debounce: 0 }),
        ...(skips && { cron: YEARLY, skipUnchanged: true }),
        ...(limited && { maxStaleness: '1h' }),
      },
    }),
  };
  const key = JSON.stringify(declared);
  const known = classes.get(key) ?? viewClass(declared);
  classes.set(key, known);
  return known;
}
