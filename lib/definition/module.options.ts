import { type Duration, milliseconds } from './duration.js';
import {
  aBoolean,
  aCount,
  aDuration,
  aFilledText,
  aSchema,
  checkOptions,
  objectOf,
  oneOf,
  type Rule,
  type Rules,
} from './option-rules.js';

/** What `forRoot` and the factories of `forRootAsync` take. Every option has a default. */
export interface MaterializedViewsModuleOptions {
  /**
   * Whether this process refreshes views on their schedules. Switch it off for replicas that only
   * serve requests; refreshing on demand works all the same.
   * @default true
   */
  scheduling?: boolean;
  /**
   * How many connections the library opens at the most for each data source, and so how many views it refreshes at a
   * time. They are opened when first needed and closed when idle for 10 s; the application's own pool is never used.
   * @default 2
   */
  poolSize?: number;
  /**
   * How long a refresh or a schema change waits for a lock. A blocking refresh makes new readers queue behind it
   * for as long as it waits. A swap tries for five times as long, and lets readers through in between.
   * @default '5s'
   */
  lockTimeout?: Duration;
  /**
   * How long one statement may take: a refresh, or the creation of a view. 0 for no limit.
   * @default '1h'
   */
  statementTimeout?: Duration;
  /**
   * How often each process looks for ticks that are due and were done by nobody; at random down to half of it.
   * Also the step by which schedules stay away from a view that fails: so long for each failure in a row, up to
   * 20 times.
   * @default '30s'
   */
  sweepInterval?: Duration;
  /**
   * How long the stopping application waits for its refreshes before it cancels them. 0 to cancel them at once.
   * @default '10s'
   */
  shutdownTimeout?: Duration;
  /**
   * How long a booting process waits while another one makes or changes views, and how long for refreshes of
   * views that it changes itself.
   * @default '5m'
   */
  syncTimeout?: Duration;
  /**
   * What booting does to the database: `true` makes it as declared; `'create'` makes what is missing and
   * warns of the rest; `'verify'` changes nothing but the library's own tables, and warns; `false` does
   * not even look.
   * @default 'create' when NODE_ENV is "production", else true
   */
  synchronize?: Synchronize;
  /**
   * What becomes of a view that is not as declared: `'apply'` changes it (refused unless `synchronize` is
   * true), `'continue'` warns and leaves it, `'fail'` fails the boot.
   * @default 'apply' with `synchronize: true`, else 'continue'
   */
  onDrift?: OnDrift;
  /**
   * What becomes of a new view that reads a table which is not there: `'fail'` fails the boot, `'skip'`
   * leaves the view and what reads it out, and says so.
   * @default 'fail'
   */
  onMissingTable?: OnMissingTable;
  /**
   * What becomes of views that read a changed view and that nobody declares: `'refuse'` stops the
   * change, `'rebuild'` rebuilds plain ones, with their grants and comments.
   * @default 'refuse'
   */
  unmanagedDependents?: UnmanagedDependents;
  /**
   * How a changed view is rebuilt: `'side-by-side'` builds it beside the old one and swaps;
   * `'drop-and-create'` needs no room for both, and readers wait for the whole build.
   * @default 'side-by-side'
   */
  rebuildStrategy?: RebuildStrategy;
  /**
   * Whether views that the library made for this `application` alone, and that it declares no more, are dropped at boot,
   * with `synchronize: true` alone; otherwise they are only reported. Without a name of the application none is dropped.
   * @default false
   */
  prune?: boolean;
  /**
   * The name of the application, by which its views are told apart from those of others with the same `stateSchema`. All its
   * processes and releases have to give the same one.
   * @default the `applicationName` of the data source; none where it has none
   */
  application?: string;
  /**
   * The schema of the library's own tables (state and history of refreshes, log of writes). Made when missing.
   * @default 'materialized_views'
   */
  stateSchema?: string;
  /**
   * How processes with `scheduling` learn of writes after which views are to be refreshed. `'poll'`: they look
   * every 250 ms to 2 s. `'notify'`: writers also wake them up by NOTIFY, at commit. PostgreSQL makes all
   * transactions that notify commit one after the other, so writers of single rows lose up to half of their
   * throughput, and a transaction that has written a captured table cannot be prepared (PREPARE TRANSACTION).
   * Each of these processes holds one more connection for each data source with such views. Give all processes that share a
   * `stateSchema` the same value: each that boots sets the trigger by its own.
   * @default 'poll'
   */
  wakeUp?: WakeUp;
  /** How much of the history of refreshes is kept. The last success and failure of a view always are. */
  history?: HistoryOptions;
}

/** Which runs stay in the history. Those beyond are deleted about once an hour, by any process that refreshes. */
export interface HistoryOptions {
  /**
   * Runs that began longer ago are deleted. At most 100 years.
   * @default '30d'
   */
  maxAge?: Duration;
  /**
   * How many of the last runs of each view are kept, and as many of its ticks that were skipped as unchanged.
   * @default 1000
   */
  maxCount?: number;
}

/** The options with their defaults, durations in milliseconds. */
export interface ResolvedOptions {
  scheduling: boolean;
  poolSize: number;
  lockTimeoutMs: number;
  statementTimeoutMs: number;
  sweepIntervalMs: number;
  shutdownTimeoutMs: number;
  syncTimeoutMs: number;
  syncPolicy: SyncPolicy;
  application: string | undefined;
  stateSchema: string;
  wakeUp: WakeUp;
  history: { maxAgeMs: number; maxCount: number };
}

/** What is done to the database when it is not as declared. */
export interface SyncPolicy {
  synchronize: Synchronize;
  onDrift: OnDrift;
  onMissingTable: OnMissingTable;
  unmanagedDependents: UnmanagedDependents;
  rebuildStrategy: RebuildStrategy;
  prune: boolean;
}

export type Synchronize = boolean | 'create' | 'verify';
export type OnDrift = 'apply' | 'continue' | 'fail';
export type OnMissingTable = 'fail' | 'skip';
export type UnmanagedDependents = 'refuse' | 'rebuild';
export type RebuildStrategy = 'side-by-side' | 'drop-and-create';
export type WakeUp = 'poll' | 'notify';

const DEFAULTS: Required<
  Omit<MaterializedViewsModuleOptions, 'synchronize' | 'onDrift' | 'application'>
> = {
  scheduling: true,
  poolSize: 2,
  lockTimeout: '5s',
  statementTimeout: '1h',
  sweepInterval: '30s',
  shutdownTimeout: '10s',
  syncTimeout: '5m',
  onMissingTable: 'fail',
  unmanagedDependents: 'refuse',
  rebuildStrategy: 'side-by-side',
  prune: false,
  stateSchema: 'materialized_views',
  wakeUp: 'poll',
  history: {},
};

const HISTORY_DEFAULTS: Required<HistoryOptions> = { maxAge: '30d', maxCount: 1_000 };

/** A hundred years, which PostgreSQL can still take from today. */
const MAX_AGE_MS = 3_155_760_000_000;

/** PostgreSQL's integer. */
const MAX_COUNT = 2 ** 31 - 1;

/** More connections than that leave a server none for the application. */
const MAX_POOL_SIZE = 100;

const aStateSchema: Rule = (value, at) => {
  aSchema(value, at);
  if (value === 'public') {
    throw at.refuse(
      'a schema of its own, and not `public`, where others may create objects',
      value,
    );
  }
};

/** The rules of the options of `forRoot`, for whoever takes others beside them. */
export const MODULE_RULES: Rules<MaterializedViewsModuleOptions> = {
  scheduling: aBoolean,
  poolSize: aCount(1, MAX_POOL_SIZE),
  lockTimeout: aDuration(1),
  statementTimeout: aDuration(0),
  sweepInterval: aDuration(1),
  shutdownTimeout: aDuration(0),
  syncTimeout: aDuration(1),
  synchronize: oneOf(true, false, 'create', 'verify'),
  onDrift: oneOf('apply', 'continue', 'fail'),
  onMissingTable: oneOf('fail', 'skip'),
  unmanagedDependents: oneOf('refuse', 'rebuild'),
  rebuildStrategy: oneOf('side-by-side', 'drop-and-create'),
  prune: aBoolean,
  application: aFilledText,
  stateSchema: aStateSchema,
  wakeUp: oneOf('poll', 'notify'),
  history: objectOf<HistoryOptions>({
    maxAge: aDuration(1, MAX_AGE_MS),
    maxCount: aCount(1, MAX_COUNT),
  }),
};

const moduleOptions: Rule = (value, at) => {
  objectOf(MODULE_RULES)(value, at);
  const { onDrift, ...options } = value as MaterializedViewsModuleOptions;
  if (onDrift === 'apply' && synchronizeOf(options) !== true) {
    throw at
      .member('onDrift')
      .refuse("'continue' or 'fail' where `synchronize` is not true", onDrift);
  }
};

/**
 * Checks the options and fills in the defaults.
 *
 * @throws InvalidOptionsError naming the option, what was expected and what was given
 */
export function resolveOptions(options: MaterializedViewsModuleOptions): ResolvedOptions {
  checkOptions('MaterializedViewsModule', moduleOptions, options);
  const all = withDefaults(DEFAULTS, options);
  const { maxAge, maxCount } = withDefaults(HISTORY_DEFAULTS, all.history);
  return {
    scheduling: all.scheduling,
    poolSize: all.poolSize,
    lockTimeoutMs: milliseconds(all.lockTimeout),
    statementTimeoutMs: milliseconds(all.statementTimeout),
    sweepIntervalMs: milliseconds(all.sweepInterval),
    shutdownTimeoutMs: milliseconds(all.shutdownTimeout),
    syncTimeoutMs: milliseconds(all.syncTimeout),
    syncPolicy: syncPolicy(all),
    application: all.application,
    stateSchema: all.stateSchema,
    wakeUp: all.wakeUp,
    history: { maxAgeMs: milliseconds(maxAge), maxCount },
  };
}

/** What is given as `undefined` is left out. */
function withDefaults<Defaults extends object, Given extends object>(
  defaults: Defaults,
  given: Given,
): Defaults & Omit<Given, keyof Defaults> {
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(set) } as Defaults & Omit<Given, keyof Defaults>;
}

function syncPolicy(
  options: Omit<SyncPolicy, 'synchronize' | 'onDrift'> & Partial<SyncPolicy>,
): SyncPolicy {
  const { onMissingTable, unmanagedDependents, rebuildStrategy, prune } = options;
  const synchronize = synchronizeOf(options);
  const onDrift = options.onDrift ?? (synchronize === true ? 'apply' : 'continue');
  return { synchronize, onDrift, onMissingTable, unmanagedDependents, rebuildStrategy, prune };
}

function synchronizeOf({ synchronize }: MaterializedViewsModuleOptions): Synchronize {
  return synchronize ?? (process.env.NODE_ENV === 'production' ? 'create' : true);
}
