import { inspect } from 'node:util';
import { type Duration, durationExpected, durationMs } from './duration.js';
import { InvalidModuleOptionsError } from '../errors/usage.errors.js';
import { identifierProblem } from '../postgres/identifier.js';

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
  onChange?: OnChange;
  /**
   * What becomes of a new view that reads a table which is not there: `'fail'` fails the boot, `'skip'`
   * leaves the view and what reads it out, and says so.
   * @default 'fail'
   */
  onMissingTable?: OnMissingTable;
  /**
   * What becomes of views that read a changed view and that nobody declares: `'refuse'` stops the
   * change, `'rebuild'` makes plain ones anew, with their grants and comments.
   * @default 'refuse'
   */
  unmanagedDependents?: UnmanagedDependents;
  /**
   * How a changed view is made anew: `'side-by-side'` builds it beside the old one and swaps;
   * `'drop-and-create'` needs no room for both, and readers wait for the whole build.
   * @default 'side-by-side'
   */
  changeStrategy?: ChangeStrategy;
  /**
   * Whether views that the library made and no class declares any more are dropped at boot, with
   * `synchronize: true` alone; otherwise they are only reported.
   * @default false
   */
  prune?: boolean;
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
  stateSchema: string;
  wakeUp: WakeUp;
  history: { maxAgeMs: number; maxCount: number };
}

/** What is done to the database when it is not as declared. */
export interface SyncPolicy {
  synchronize: Synchronize;
  onChange: OnChange;
  onMissingTable: OnMissingTable;
  unmanagedDependents: UnmanagedDependents;
  changeStrategy: ChangeStrategy;
  prune: boolean;
}

export type Synchronize = boolean | 'create' | 'verify';
export type OnChange = 'apply' | 'continue' | 'fail';
export type OnMissingTable = 'fail' | 'skip';
export type UnmanagedDependents = 'refuse' | 'rebuild';
export type ChangeStrategy = 'side-by-side' | 'drop-and-create';
export type WakeUp = 'poll' | 'notify';

const DEFAULTS: Required<Omit<MaterializedViewsModuleOptions, 'synchronize' | 'onChange'>> = {
  scheduling: true,
  poolSize: 2,
  lockTimeout: '5s',
  statementTimeout: '1h',
  sweepInterval: '30s',
  shutdownTimeout: '10s',
  syncTimeout: '5m',
  onMissingTable: 'fail',
  unmanagedDependents: 'refuse',
  changeStrategy: 'side-by-side',
  prune: false,
  stateSchema: 'materialized_views',
  wakeUp: 'poll',
  history: {},
};

const HISTORY_DEFAULTS: Required<HistoryOptions> = { maxAge: '30d', maxCount: 1_000 };

/** A hundred years, which PostgreSQL can still take from today. */
const MAX_AGE_MS = 3_155_760_000_000;

/**
 * Checks the options and fills in the defaults.
 *
 * @throws InvalidModuleOptionsError naming the option, what was expected and what was given
 */
export function resolveOptions(options: MaterializedViewsModuleOptions): ResolvedOptions {
  refuseUnknown('options', options, [...Object.keys(DEFAULTS), 'synchronize', 'onChange']);
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  );
  const all = { ...DEFAULTS, ...given };
  return {
    scheduling: booleanOption('scheduling', all.scheduling),
    poolSize: countOption('poolSize', all.poolSize),
    lockTimeoutMs: durationOption('lockTimeout', all.lockTimeout),
    statementTimeoutMs: durationOption('statementTimeout', all.statementTimeout, 0),
    sweepIntervalMs: durationOption('sweepInterval', all.sweepInterval),
    shutdownTimeoutMs: durationOption('shutdownTimeout', all.shutdownTimeout, 0),
    syncTimeoutMs: durationOption('syncTimeout', all.syncTimeout),
    syncPolicy: syncPolicy(all),
    stateSchema: schemaOption(all.stateSchema),
    wakeUp: oneOf('wakeUp', all.wakeUp, ['poll', 'notify']),
    history: historyOptions(all.history),
  };
}

function historyOptions(options: HistoryOptions): ResolvedOptions['history'] {
  refuseUnknown('history', options, Object.keys(HISTORY_DEFAULTS));
  const { maxAge = HISTORY_DEFAULTS.maxAge, maxCount = HISTORY_DEFAULTS.maxCount } = options;
  return {
    maxAgeMs: durationOption('history.maxAge', maxAge, 1, MAX_AGE_MS),
    maxCount: countOption('history.maxCount', maxCount),
  };
}

/** @param name of the option that they are part of; `options` for the outermost */
function refuseUnknown(name: string, options: object, known: string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw refuse(name, 'an object', options);
  }
  const unknown = Object.keys(options).find((each) => !known.includes(each));
  if (unknown !== undefined) {
    const path = name === 'options' ? unknown : `${name}.${unknown}`;
    throw refuse(path, `absent: the options are ${known.join(', ')}`, 'an unknown option');
  }
}

function syncPolicy(options: MaterializedViewsModuleOptions): SyncPolicy {
  const inProduction = process.env.NODE_ENV === 'production';
  const synchronize = oneOf<Synchronize>(
    'synchronize',
    options.synchronize ?? (inProduction ? 'create' : true),
    [true, false, 'create', 'verify'],
  );
  const changes = synchronize === true ? 'apply' : 'continue';
  const onChange = oneOf<OnChange>('onChange', options.onChange ?? changes, [
    'apply',
    'continue',
    'fail',
  ]);
  if (onChange === 'apply' && synchronize !== true) {
    throw refuse('onChange', "'continue' or 'fail' where `synchronize` is not true", onChange);
  }
  return {
    synchronize,
    onChange,
    onMissingTable: oneOf('onMissingTable', options.onMissingTable ?? 'fail', ['fail', 'skip']),
    unmanagedDependents: oneOf('unmanagedDependents', options.unmanagedDependents ?? 'refuse', [
      'refuse',
      'rebuild',
    ]),
    changeStrategy: oneOf('changeStrategy', options.changeStrategy ?? 'side-by-side', [
      'side-by-side',
      'drop-and-create',
    ]),
    prune: booleanOption('prune', options.prune),
  };
}

function oneOf<T>(name: string, value: T, allowed: T[]): T {
  if (!allowed.includes(value)) {
    throw refuse(name, allowed.map((each) => JSON.stringify(each)).join(', '), value);
  }
  return value;
}

function booleanOption(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') {
    throw refuse(name, 'true or false', value);
  }
  return value;
}

function countOption(name: string, value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 1) {
    throw refuse(name, 'a whole number from 1 on', value);
  }
  return value as number;
}

function schemaOption(value: unknown): string {
  const problem = typeof value === 'string' ? identifierProblem(value) : 'it is not a string';
  if (problem !== undefined) {
    throw refuse('stateSchema', `the name of a schema (${problem})`, value);
  }
  return value as string;
}

function durationOption(name: string, value: unknown, minimumMs = 1, maximumMs?: number): number {
  const parsedMs = durationMs(value, minimumMs, maximumMs);
  if (parsedMs === undefined) {
    throw refuse(name, durationExpected(minimumMs, maximumMs), value);
  }
  return parsedMs;
}

function refuse(name: string, expected: string, given: unknown): InvalidModuleOptionsError {
  return new InvalidModuleOptionsError(
    `MaterializedViewsModule: expected \`${name}\` to be ${expected}, got ${typeof given === 'string' ? JSON.stringify(given) : inspect(given)}.`,
  );
}
