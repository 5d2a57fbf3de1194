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

/** Options of `forRoot`, and of the factories of `forRootAsync`. Every option has a default. */
export interface MaterializedViewsModuleOptions {
  /**
   * Whether this process refreshes views on schedule and after writes. Set it to `false` in replicas that only serve
   * requests. They can still refresh on demand.
   * @default true
   */
  scheduling?: boolean;
  /**
   * How many connections the library opens for refreshes and schema changes of each data source, and so how many views it
   * refreshes at a time. Beside them it has one for bookkeeping, and one for LISTEN with `wakeUp: 'notify'`. It opens them
   * when needed and closes them after 10 s of idling. Refreshes don't use the application's own pool.
   * @default 2
   */
  poolSize?: number;
  /**
   * How long a refresh or a schema change waits for a lock. While a blocking refresh waits, new readers queue behind
   * it. A swap tries for five times as long and lets readers through in between.
   * @default '5s'
   */
  lockTimeout?: Duration;
  /**
   * How long one statement may take, such as a refresh or the creation of a view. 0 means no limit.
   * @default '1h'
   */
  statementTimeout?: Duration;
  /**
   * How often each process looks for ticks that are due and not done, shortened at random by up to half. Also the
   * step by which scheduled refreshes of a failing view back off: once for each failure in a row, up to 20 times.
   * @default '30s'
   */
  sweepInterval?: Duration;
  /**
   * How long an application that shuts down waits for its refreshes before it cancels them. 0 cancels them at once.
   * @default '10s'
   */
  shutdownTimeout?: Duration;
  /**
   * How long a boot waits for another process that changes views, and for refreshes of views that it changes itself.
   * @default '5m'
   */
  syncTimeout?: Duration;
  /**
   * What a boot changes in the database. `true`: whatever differs from the code. `'create'`: creates what is missing
   * and warns about the rest. `'verify'`: only warns. `false`: doesn't even look. All but `false` create the
   * library's own tables.
   * @default 'create' when NODE_ENV is "production", else true
   */
  synchronize?: Synchronize;
  /**
   * What a boot does about a view that differs from its class. `'apply'` changes it (only with `synchronize: true`),
   * `'continue'` warns and leaves it, `'fail'` fails the boot.
   * @default 'apply' with `synchronize: true`, else 'continue'
   */
  onDrift?: OnDrift;
  /**
   * What a boot does about a new view that reads a missing table. `'fail'` fails the boot. `'skip'` leaves out the
   * view and the views that read it, and warns.
   * @default 'fail'
   */
  onMissingTable?: OnMissingTable;
  /**
   * What happens to undeclared views that read a changed view. `'refuse'` stops the change, `'rebuild'` rebuilds
   * plain views with their grants and comments.
   * @default 'refuse'
   */
  unmanagedDependents?: UnmanagedDependents;
  /**
   * How a changed view is rebuilt. `'side-by-side'` builds the new view beside the old one and swaps them.
   * `'drop-and-create'` needs disk space for one copy only, but readers wait for the whole build.
   * @default 'side-by-side'
   */
  rebuildStrategy?: RebuildStrategy;
  /**
   * Whether a boot with `synchronize: true` drops views that the library created for this `application` only and that
   * no class declares any more. Otherwise they are only reported. Without an `application` name, nothing is dropped.
   * @default false
   */
  prune?: boolean;
  /**
   * Tells the views of this application from those of others with the same `stateSchema`. Use the same name in all
   * its processes and releases.
   * @default the `applicationName` of the data source, if it has one
   */
  application?: string;
  /**
   * The schema of the library's own tables: state and history of refreshes, and the change log. Created if missing.
   * @default 'materialized_views'
   */
  stateSchema?: string;
  /**
   * How processes with `scheduling` notice writes that should trigger a refresh. `'poll'`: one of them polls every
   * 250 ms to 2 s. `'notify'`: writers also wake that process with NOTIFY at commit. PostgreSQL lets such
   * transactions commit only one after another, so writers of single rows lose up to half of their throughput, and a
   * transaction that wrote to a tracked table can't use PREPARE TRANSACTION. The process that polls holds one more
   * connection per data source with such views. Use the same value in all processes that share a `stateSchema`,
   * because each boot sets the trigger to its own value.
   * @default 'poll'
   */
  wakeUp?: WakeUp;
  /** How much of the refresh history is kept. The last success and the last failure of each view are always kept. */
  history?: HistoryOptions;
}

/** Limits of the refresh history. About once an hour, a process that refreshes deletes runs beyond them. */
export interface HistoryOptions {
  /**
   * Older runs are deleted. At most 100 years.
   * @default '30d'
   */
  maxAge?: Duration;
  /**
   * How many runs of each view are kept. Ticks skipped as unchanged count separately, with the same limit.
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

/** What to do if the database is not as declared. */
export interface SyncPolicy {
  synchronize: Synchronize;
  onDrift: OnDrift;
  onMissingTable: OnMissingTable;
  unmanagedDependents: UnmanagedDependents;
  rebuildStrategy: RebuildStrategy;
  prune: boolean;
  /** The only schema that a plan is for, with what reads its views. */
  schema?: string;
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

/** A hundred years, which PostgreSQL can still subtract from today. */
const MAX_AGE_MS = 3_155_760_000_000;

/** The largest integer of PostgreSQL. */
const MAX_COUNT = 2 ** 31 - 1;

/** More connections would leave a server none for the application. */
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

/** The rules for the options of `forRoot`, for calls that have further options. */
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
    throw at.member('onDrift').refuse("'continue' or 'fail' unless `synchronize` is true", onDrift);
  }
};

/**
 * Checks the options and fills in the defaults.
 *
 * @throws InvalidOptionsError naming the option, what was expected and what it got
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

/** Options given as `undefined` count as left out. */
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
