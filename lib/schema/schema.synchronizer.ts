import { isDeepStrictEqual } from 'node:util';
import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { namesWithoutSchema } from '../definition/names-without-schema.js';
import { PlanOutdatedError } from '../errors/schema.errors.js';
import type { SyncPolicy } from '../definition/module.options.js';
import { syncLockKey } from '../postgres/advisory-lock.js';
import { type Session, StandbyRefusal } from '../postgres/session.js';
import type { TransactionLimits } from '../postgres/transaction.sql.js';
import type { Reading } from '../postgres/view-catalog.sql.js';
import { selectViewFacts, type ViewFactRow } from '../postgres/view-facts.sql.js';
import type { DatabaseState } from './database-state.js';
import { checksOf, type MigrationChecks, refuseLiterals } from './migration-checks.js';
import { SYNC_LOCK_TAKEN, waitForLock } from './lock-wait.js';
import { columnsToBe, refuseMissingColumns } from './declared-columns.js';
import { declaredElsewhere, readState, remember } from './remembering.js';
import { PlanRun } from './plan-run.js';
import type { PostponedStep } from './plan-step.js';
import { type Prepared, prepare, refuse } from './preparation.js';
import type { PreparationContext } from './preparation-context.js';
import { withoutUsableKey } from './refresh-keys.js';
import { rememberedDiff } from './remembered-diff.js';
import { refuseForeignState } from './foreign-state.js';
import { schemaErrorFrom } from './schema-error.js';
import type { SchemaPlan } from './schema-plan.js';
import type { SchemaDiff } from './schema-diff.js';
import { refuseDrift } from './sync-policy.js';
import type { SyncReport, ViewReport } from './sync-report.js';
import { SyncReporter } from './sync.reporter.js';

/** How long planning may take for each view, also on a busy machine. */
const IDLE_PER_VIEW_MS = 10;

/** The outcome of a synchronisation. */
export interface Synchronized {
  report: SyncReport;
  diff: SchemaDiff;
  /** The step that didn't get its locks and was left out. */
  postponed?: PostponedStep;
  /** Views that can only be refreshed while readers wait. */
  withoutKey: ViewDefinition[];
}

/** The outcome if everything is as remembered. */
type Remembered = Pick<Synchronized, 'diff' | 'withoutKey'>;

/** Makes a database match the code, one process at a time. */
export class SchemaSynchronizer {
  private readonly reporter: SyncReporter;

  constructor(private readonly context: DataSourceContext) {
    this.reporter = new SyncReporter(context);
  }

  /** Makes a plan, and changes nothing. */
  async plan(policy: SyncPolicy): Promise<SchemaPlan> {
    return this.explained(async () => {
      const prepared = await this.look(policy);
      refuse(prepared);
      this.reporter.unpruned(prepared);
      return prepared.plan;
    });
  }

  /**
   * How the database compares, with what would stop a change. Changes nothing. On a standby, definitions can't be tried,
   * so it can only tell that everything is as remembered.
   */
  async inspect(policy: SyncPolicy): Promise<Pick<Prepared, 'diff' | 'failing' | 'refusals'>> {
    return this.explained(async () => {
      try {
        return await this.look(policy);
      } catch (error) {
        const remembered =
          error instanceof StandbyRefusal ? await this.lookBriefly(policy) : undefined;
        if (remembered === undefined) {
          throw error;
        }
        return { diff: remembered.diff, failing: [], refusals: [] };
      }
    });
  }

  /** Works out what a migration must do, and what it must find when it runs. */
  async inspectForMigration(
    policy: SyncPolicy,
  ): Promise<{ plan: SchemaPlan; checks: MigrationChecks }> {
    return this.explained(() =>
      this.within((session) =>
        session.undone(async () => {
          const prepared = await prepare(session, this.preparation(policy));
          refuse(prepared);
          this.reporter.unpruned(prepared);
          const { plan, touched } = prepared;
          const names = touched.map(({ before }) => before);
          const facts = await session.query<ViewFactRow>(selectViewFacts(names));
          refuseLiterals(touched, facts);
          return { plan, checks: checksOf(touched, facts) };
        }),
      ),
    );
  }

  /**
   * Plans and applies in one transaction under the sync lock: everything or nothing. A step may be postponed only
   * if no plan is expected.
   *
   * @param expected a plan made before, which must still be up to date
   * @param made what was just done to views, by name: it is reported with the rest
   */
  async carryOut(
    policy: SyncPolicy,
    expected?: SchemaPlan,
    made: ReadonlyMap<string, ViewReport> = new Map(),
  ): Promise<Synchronized> {
    const startedAtMs = performance.now();
    return this.explained(async () => {
      // Usually a boot finds nothing new. Then it takes no lock and needs no CREATE privilege.
      const remembered = expected === undefined ? await this.lookBriefly(policy) : undefined;
      if (remembered !== undefined) {
        return this.reporter.unchanged(remembered, made, startedAtMs);
      }
      try {
        const done = await this.underLock(policy, expected);
        if (!('prepared' in done)) {
          return this.reporter.unchanged(done, made, startedAtMs);
        }
        const { prepared, postponed, withoutKey } = done;
        const report = this.reporter.carriedOut(prepared, made, startedAtMs);
        return { report, diff: prepared.diff, postponed, withoutKey };
      } catch (error) {
        this.reporter.failed(error, startedAtMs);
        throw error;
      }
    });
  }

  /** Runs `work` in a transaction. */
  async within<T>(
    work: (session: Session) => Promise<T>,
    { isReadOnly }: Pick<TransactionLimits, 'isReadOnly'> = {},
  ): Promise<T> {
    const { syncTimeoutMs, statementTimeoutMs } = this.context.options;
    const limits = {
      lockTimeoutMs: syncTimeoutMs,
      // Time to wait for the sync lock and to work.
      statementTimeoutMs: statementTimeoutMs && statementTimeoutMs + syncTimeoutMs,
      isReadOnly,
      idleTimeoutMs: IDLE_PER_VIEW_MS * this.context.views.all().length,
    };
    return this.context.database.transaction(limits, work);
  }

  /** Runs `work` in a transaction that holds the sync lock. */
  async locked<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.explained(() =>
      this.within(async (session) => {
        await waitForLock(session, this.context.locks, syncLockKey(), SYNC_LOCK_TAKEN);
        return work(session);
      }),
    );
  }

  /** Reads what the database has, without a lock. */
  async read(): Promise<DatabaseState> {
    return this.explained(() =>
      this.within((session) => readState(session, this.context), { isReadOnly: true }),
    );
  }

  /** The limits and names that a preparation needs. */
  private preparation(policy: SyncPolicy): PreparationContext {
    const { name, options, views } = this.context;
    const { syncTimeoutMs, lockTimeoutMs, statementTimeoutMs, stateSchema } = options;
    const limits = { lockTimeoutMs, statementTimeoutMs };
    return {
      dataSource: name,
      stateSchema,
      views: views.all(),
      declaredElsewhere: declaredElsewhere(this.context),
      // Who names a schema means it.
      namesWithoutSchema:
        policy.schema === undefined ? namesWithoutSchema(this.context) : new Set(),
      application: this.context.application,
      policy,
      options,
      syncTimeoutMs,
      limits,
      locks: this.context.locks,
    };
  }

  private look(policy: SyncPolicy): Promise<Prepared> {
    return this.within((session) =>
      session.undone(() => prepare(session, this.preparation(policy))),
    );
  }

  private lookBriefly(policy: SyncPolicy): Promise<Remembered | undefined> {
    return this.within(
      async (session) => {
        await refuseForeignState(session, this.context.database.stateSchema);
        return (
          (await this.remembered(session, policy, 'origins')) ??
          (await this.remembered(session, policy, 'brief'))
        );
      },
      { isReadOnly: true },
    );
  }

  /** If nothing has to be done. */
  private async remembered(
    session: Session,
    policy: SyncPolicy,
    reading: Reading,
  ): Promise<Remembered | undefined> {
    const preparation = this.preparation(policy);
    const state = await readState(session, this.context, reading);
    const diff = await rememberedDiff(session, preparation.views, state, preparation);
    if (diff === undefined) {
      return undefined;
    }
    refuseMissingColumns(columnsToBe(diff, [], new Set()));
    return { diff, withoutKey: withoutUsableKey(preparation.views, state) };
  }

  private async underLock(
    policy: SyncPolicy,
    expected: SchemaPlan | undefined,
  ): Promise<
    Remembered | ({ prepared: Prepared } & Pick<Synchronized, 'postponed' | 'withoutKey'>)
  > {
    const { name, database, options } = this.context;
    const views = this.context.views.all();
    return this.within(async (session) => {
      await waitForLock(session, this.context.locks, syncLockKey(), SYNC_LOCK_TAKEN);
      await refuseForeignState(session, database.stateSchema);
      // Another process may have done everything while this one waited. Its views may be refreshing by
      // now.
      const remembered =
        expected === undefined ? await this.remembered(session, policy, 'brief') : undefined;
      if (remembered !== undefined) {
        return remembered;
      }
      const prepared = await prepare(session, this.preparation(policy));
      refuse(prepared);
      if (expected !== undefined && !isDeepStrictEqual(expected.steps, prepared.plan.steps)) {
        throw new PlanOutdatedError(
          `The database or the code has changed since the plan for data source "${name}" was made. Nothing has been changed.`,
          { hint: 'Make a new plan, look at it, and apply that.' },
        );
      }
      refuseDrift(prepared, policy);
      const { lockTimeoutMs } = options;
      const mayPostpone = expected === undefined;
      const run = new PlanRun(session, database.stateSchema, views, lockTimeoutMs, mayPostpone);
      const postponed = await run.run(prepared.plan);
      const state = await remember(session, this.context, prepared.plan, policy);
      return { prepared, postponed, withoutKey: withoutUsableKey(views, state) };
    });
  }

  private async explained<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw schemaErrorFrom(error);
    }
  }
}
