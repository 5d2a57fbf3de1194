import type { LockWatch } from '../definition/lock.watch.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import type { ResolvedOptions, SyncPolicy } from '../definition/module.options.js';
import type { TransactionLimits } from '../postgres/transaction.sql.js';
import type { PgCronOptions } from './pg-cron-jobs.js';

export interface PreparationContext {
  dataSource: string;
  stateSchema: string;
  views: readonly ViewDefinition[];
  /** What the application declares in other data sources: `schema.name`. */
  declaredElsewhere: ReadonlySet<string>;
  /** The names of views whose classes have no schema at all at present. */
  namesWithoutSchema: ReadonlySet<string>;
  /** The application's name; `''` if it has none. */
  application: string;
  policy: SyncPolicy;
  /** For aspects. */
  options: Pick<ResolvedOptions, 'wakeUp'> & PgCronOptions;
  /** How long to wait for a running refresh. Readers are not affected. */
  syncTimeoutMs: number;
  /** How long to wait for readers, and how long a statement may take. */
  limits: TransactionLimits;
  locks: LockWatch;
}
