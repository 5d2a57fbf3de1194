import fc from 'fast-check';
import type { MaterializedViewsModuleOptions } from '../../../../lib/index.js';
import type { ViewIndexKey } from '../../../../lib/definition/materialized-view-entity.options.js';
import { DECORATIONS, WORK_NAMES, type WorkName } from './works.js';

/*
 * What can happen to a database and its application. All of it is plain data, so that counterexamples shrink.
 */

/** The names that views can have: one more than there are views. */
export const NAMES = [
  { schema: 'public', name: 'alpha' },
  { schema: 'Far away', name: 'alpha' },
  { schema: 'public', name: 'alpha beta' },
  { schema: 'Far away', name: 'The "Omega"' },
  { schema: 'public', name: 'alpha beta "Gamma"' },
] as const;
export const VIEW_COUNT = NAMES.length - 1;
const TABLE_COLUMNS = ['id', 'grp', 'amount', 'note'];

export interface IndexSpec {
  slot: number;
  key: string | ViewIndexKey;
  withId: boolean;
  isUnique: boolean;
  where?: string;
  /** A hash index instead of a B-tree. It has a single key. */
  isHash?: boolean;
  includesId?: boolean;
  storage?: Record<string, number>;
}

/** What a class declares for a view. */
export interface ViewSpec {
  /** Whether it is a plain view. Then it has no indexes and no other attribute of stored rows. */
  isPlain: boolean;
  shape: 'filter' | 'star' | 'group' | 'join' | 'function' | 'whole row';
  /** Positions in the list of what it may read (the table and the views before it), modulo the length. */
  sources: [number, number];
  /** Whether it reads another view through a hand-made plain view, if there is one. */
  throughPlain: boolean;
  columns: string[];
  modulus: number;
  indexes: IndexSpec[];
  storage?: Record<string, string | number | boolean>;
  comment?: string;
  tablespace?: 'pg_default';
  on?: 'sources' | string[];
  withData: boolean;
  /** Only for a plain view. */
  securityBarrier?: boolean;
  securityInvoker?: boolean;
  /** Only if PostgreSQL can write through the view. */
  checkOption?: 'local' | 'cascaded' | false;
  /** Whether to declare the plain view whose rows it stores as its `liveView`, if there is one. */
  isLive?: boolean;
  /** Whether it shares a class with a view of the same name in another schema, if there is one. */
  isTenant?: boolean;
  /** Whether it declares the number of the release as its `version`. */
  hasVersion: boolean;
}

/** Changes by hand that are more than a few statements on one view. */
const OTHER_WORK = [
  'widen the table',
  'retype the table',
  'rename a column of the table',
  'leave an invalid index',
  'make another of its name',
  'rename the view',
  'pause',
  'refresh',
  'refresh concurrently',
  'refresh by swap',
] as const;

export interface HandWork {
  view: number;
  work: WorkName | (typeof OTHER_WORK)[number];
}

/** How a release gets to the database. A normal boot follows, whether that succeeded or not. */
export type Rollout =
  | { by: 'boot' }
  | { by: 'policy'; options: Pick<MaterializedViewsModuleOptions, 'synchronize' | 'onDrift'> }
  | { by: 'interrupted boot'; flight: number }
  | { by: 'boots at once'; count: number; withOld: boolean }
  | {
      by: 'migration';
      /** A change by hand after the migration was written and before it runs. */
      meanwhile?: HandWork;
      goesBack: boolean;
      /** A change by hand before the `down`. */
      later?: HandWork;
      /** The statement before which the first run is terminated. */
      killedAt?: number;
    }
  | { by: 'plan' };

/**
 * Views that are renamed. Each takes the name of the one before it; the first takes that of the last, or the free name.
 */
export interface Renames {
  views: number[];
  isCircle: boolean;
}

/** One release of the application, and the changes by hand before it. */
export interface Step {
  /** The views of the release, each after those that it may read. @default those of the previous release */
  order?: number[];
  changes: { view: number; spec: ViewSpec }[];
  renames?: Renames;
  handWork: HandWork[];
  rollout: Rollout;
  prune: boolean;
  dropsFirst: boolean;
  /** Whether it rebuilds plain views that others have created on top of its own. */
  rebuildsOthers: boolean;
  /** How many releases back to go for an old one that boots again afterwards; 0 for none. */
  thenOld: number;
  /** Whether the database is dumped and restored afterwards. */
  thenRestored: boolean;
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
    isHash: fc.boolean(),
    includesId: fc.boolean(),
    storage: fc.constantFrom({ fillfactor: 65 }, { fillfactor: 100 }),
  },
  { requiredKeys: ['slot', 'key', 'withId', 'isUnique'] },
);

const anyView: fc.Arbitrary<ViewSpec> = fc.record(
  {
    isPlain: fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.constant(true)),
    securityBarrier: fc.boolean(),
    securityInvoker: fc.boolean(),
    checkOption: fc.constantFrom<NonNullable<ViewSpec['checkOption']>>('local', 'cascaded', false),
    isLive: fc.boolean(),
    isTenant: fc.boolean(),
    shape: fc.constantFrom<ViewSpec['shape']>(
      'filter',
      'star',
      'group',
      'join',
      'function',
      'whole row',
    ),
    sources: fc.tuple(fc.nat({ max: 11 }), fc.nat({ max: 11 })),
    throughPlain: fc.boolean(),
    columns: fc.shuffledSubarray(TABLE_COLUMNS.slice(1)),
    modulus: fc.integer({ min: 1, max: 4 }),
    indexes: fc.uniqueArray(anyIndex, { selector: ({ slot }) => slot, maxLength: 3 }),
    withData: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.boolean()),
    storage: fc.constantFrom<NonNullable<ViewSpec['storage']>>(
      {},
      { fillfactor: 70 },
      { fillfactor: 90, autovacuum_enabled: false },
    ),
    comment: fc.constantFrom('', 'plain', `it's "quoted"`),
    tablespace: fc.constant('pg_default'),
    on: fc.constantFrom<NonNullable<ViewSpec['on']>>('sources', ['items']),
    hasVersion: fc.boolean(),
  },
  {
    requiredKeys: [
      'isPlain',
      'shape',
      'sources',
      'throughPlain',
      'columns',
      'modulus',
      'indexes',
      'withData',
      'hasVersion',
    ],
  },
);

const aView = fc.nat({ max: VIEW_COUNT - 1 });

const anyHandWork: fc.Arbitrary<HandWork> = fc.record({
  view: aView,
  work: fc.constantFrom(...WORK_NAMES, ...OTHER_WORK),
});

/** Changes by hand that affect no definition. A migration written before them keeps them, or stops. */
const anyDecoration: fc.Arbitrary<HandWork> = fc.record({
  view: aView,
  work: fc.constantFrom(...DECORATIONS, 'leave an invalid index' as const),
});

const anyRollout: fc.Arbitrary<Rollout> = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Rollout>({ by: 'boot' }) },
  {
    weight: 2,
    arbitrary: fc.record({
      by: fc.constant('policy' as const),
      options: fc.constantFrom<(Rollout & { by: 'policy' })['options']>(
        { synchronize: 'create' },
        { synchronize: 'create', onDrift: 'fail' },
        { synchronize: 'verify' },
        { synchronize: 'verify', onDrift: 'fail' },
        { synchronize: false },
        { synchronize: true, onDrift: 'continue' },
        { synchronize: true, onDrift: 'fail' },
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      by: fc.constant('interrupted boot' as const),
      flight: fc.integer({ min: 1, max: 120 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      by: fc.constant('boots at once' as const),
      count: fc.integer({ min: 2, max: 3 }),
      withOld: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record(
      {
        by: fc.constant('migration' as const),
        goesBack: fc.boolean(),
        meanwhile: anyDecoration,
        later: anyDecoration,
        killedAt: fc.integer({ min: 1, max: 60 }),
      },
      { requiredKeys: ['by', 'goesBack'] },
    ),
  },
  { weight: 1, arbitrary: fc.constant<Rollout>({ by: 'plan' }) },
);

const seldom = (weight: number): fc.Arbitrary<boolean> =>
  fc.oneof({ weight, arbitrary: fc.constant(false) }, fc.boolean());

const anyOrder = fc.shuffledSubarray([...Array(VIEW_COUNT).keys()], { minLength: 1 });

const anyRenames: fc.Arbitrary<Renames> = fc.record({
  views: fc.shuffledSubarray([...Array(VIEW_COUNT).keys()], { minLength: 1, maxLength: 3 }),
  isCircle: fc.boolean(),
});

const anyStep: fc.Arbitrary<Step> = fc.record(
  {
    order: anyOrder,
    changes: fc.array(fc.record({ view: aView, spec: anyView }), { maxLength: 3 }),
    renames: anyRenames,
    handWork: fc.array(anyHandWork, { maxLength: 4 }),
    rollout: anyRollout,
    prune: fc.boolean(),
    dropsFirst: seldom(3),
    rebuildsOthers: seldom(2),
    thenOld: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat({ max: 2 })),
    thenRestored: seldom(8),
  },
  {
    requiredKeys: [
      'changes',
      'handWork',
      'rollout',
      'prune',
      'dropsFirst',
      'rebuildsOthers',
      'thenOld',
      'thenRestored',
    ],
  },
);

/** A first release and 1 to 4 more. */
export const anyHistory: fc.Arbitrary<Step[]> = fc
  .tuple(
    anyOrder,
    fc.array(anyView, { minLength: VIEW_COUNT, maxLength: VIEW_COUNT }),
    fc.array(anyStep, { minLength: 1, maxLength: 4 }),
  )
  .map(([order, views, steps]): Step[] => [
    {
      order,
      changes: views.map((spec, view) => ({ view, spec })),
      handWork: [],
      rollout: { by: 'boot' },
      prune: false,
      dropsFirst: false,
      rebuildsOthers: false,
      thenOld: 0,
      thenRestored: false,
    },
    ...steps,
  ]);
