import { isDeepStrictEqual } from 'node:util';
import type { DataSourceContext } from '../definition/data-source.context.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { MaterializedViewEvents } from '../definition/materialized-view.events.js';
import { PlanOutdatedError, SchemaDriftError } from '../errors/schema.errors.js';
import { effectiveCapture } from '../tracking/capture-record.js';
import type { SyncPolicy } from '../definition/module.options.js';
import { syncLockKey } from '../postgres/advisory-lock.js';
import type { Session } from '../postgres/session.js';
import { claimViews, recordDefinitions, releaseViews } from '../postgres/state.sql.js';
import { selectViewFacts, type ViewFactRow } from '../postgres/view-facts.sql.js';
import type { DatabaseState } from './database-state.js';
import { checksOf, type MigrationChecks } from './migration-checks.js';
import { readSteadily } from './steady-read.js';
import { SYNC_LOCK_TAKEN, waitForLock } from './lock-wait.js';
import { columnsToBe, refuseMissingColumns } from './declared-columns.js';
import { declarationRecord, fingerprint } from './fingerprint.js';
import { describeUnpruned, releasable } from './holders.js';
import { PlanRun } from './plan-run.js';
import type { PostponedStep } from './plan-step.js';
import { type Prepared, prepare, refuse } from './preparation.js';
import type { PreparationContext } from './preparation-context.js';
import { withoutUsableKey } from './refresh-keys.js';
import { findMoved, moveKnownViews } from './rename.js';
import { movesOf } from './rename-steps.js';
import { rememberedDiff } from './remembered-diff.js';
import { refuseForeignState } from './foreign-state.js';
import { schemaErrorFrom } from './schema-error.js';
import type { SchemaPlan } from './schema-plan.js';
import type { SchemaDiff } from './schema-diff.js';
import { allowsChanges, allowsCreation } from '../definition/policy-rights.js';
import {
  failedReports,
  isDrifted,
  publishReport,
  reportsOf,
  type SyncReport,
  unchangedReports,
  type ViewReport,
} from './sync-report.js';

/** What became of a synchronisation. */
export interface Synchronized {
  report: SyncReport;
  diff: SchemaDiff;
  /** The step for which the locks could not be had, and without which all others were done. */
  postponed?: PostponedStep;
  /** Views that can only be refreshed while their readers wait. */
  withoutKey: ViewDefinition[];
}

/** Brings a database to what the code declares, one process at a time. */
export class SchemaSynchronizer {
  constructor(private readonly context: DataSourceContext) {}

  /** Works a plan out and leaves everything as it is. */
  async plan(policy: SyncPolicy): Promise<SchemaPlan> {
    return this.explained(async () => {
      const prepared = await this.look(policy);
      refuse(prepared);
      this.warnOfUnpruned(prepared);
      return prepared.plan;
    });
  }

  /** How the database compares, with what would stand in the way of a change. Leaves everything as it is. */
  async inspect(policy: SyncPolicy): Promise<Prepared> {
    return this.explained(() => this.look(policy));
  }

  /** Works out what a migration has to do, and what it has to find when it runs. */
  async inspectForMigration(
    policy: SyncPolicy,
  ): Promise<{ plan: SchemaPlan; checks: MigrationChecks }> {
    return this.explained(() =>
      this.within((session) =>
        session.undone(async () => {
          const prepared = await prepare(session, this.preparation(policy));
          refuse(prepared);
          this.warnOfUnpruned(prepared);
          const { plan, touched } = prepared;
          const names = touched.map(({ before }) => before);
          const facts = await session.query<ViewFactRow>(selectViewFacts(names));
          return { plan, checks: checksOf(touched, facts) };
        }),
      ),
    );
  }

  /**
   * Plans and carries out, in one transaction under the sync lock: whole, or not at all. Only without an expected
   * plan a step may be postponed.
   *
   * @param expected a plan made before, which must still be the right one
   */
  async carryOut(policy: SyncPolicy, expected?: SchemaPlan): Promise<Synchronized> {
    const startedAtMs = performance.now();
    const { name } = this.context;
    const views = this.context.views.all();
    return this.explained(async () => {
      // Nothing new is the usual case at boot: it takes no lock and needs no right to create.
      const remembered = expected === undefined ? await this.remembered(policy) : undefined;
      if (remembered !== undefined) {
        const { diff, withoutKey } = remembered;
        const reports = unchangedReports(diff);
        const report = this.told(publishReport(name, reports, startedAtMs));
        return { report, diff, withoutKey };
      }
      try {
        const { prepared, postponed, withoutKey } = await this.underLock(policy, expected);
        const reports = reportsOf(prepared, views);
        this.warnOfDropped(reports);
        const report = this.told(publishReport(name, reports, startedAtMs));
        return { report, diff: prepared.diff, postponed, withoutKey };
      } catch (error) {
        publishReport(name, failedReports(views, error), startedAtMs);
        throw error;
      }
    });
  }

  /** Runs `work` in a transaction. */
  async within<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const { syncTimeoutMs, statementTimeoutMs } = this.context.options;
    const limits = {
      lockTimeoutMs: syncTimeoutMs,
      // Room for both to wait for the sync lock and to work.
      statementTimeoutMs: statementTimeoutMs && statementTimeoutMs + syncTimeoutMs,
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
    return this.explained(() => this.within((session) => this.readState(session)));
  }

  /** The limits and names that a preparation needs. */
  private preparation(policy: SyncPolicy): PreparationContext {
    const { name, options, views } = this.context;
    const { syncTimeoutMs, lockTimeoutMs, statementTimeoutMs, stateSchema, wakeUp } = options;
    const limits = { lockTimeoutMs, statementTimeoutMs };
    return {
      dataSource: name,
      stateSchema,
      views: views.all(),
      declaredElsewhere: this.declaredElsewhere(),
      application: this.context.application,
      policy,
      wakeUp,
      syncTimeoutMs,
      limits,
      locks: this.context.locks,
    };
  }

  private declaredElsewhere(): Set<string> {
    return new Set(this.context.viewsElsewhere().map(viewName));
  }

  private look(policy: SyncPolicy): Promise<Prepared> {
    return this.within((session) =>
      session.undone(() => prepare(session, this.preparation(policy))),
    );
  }

  private async remembered(
    policy: SyncPolicy,
  ): Promise<Pick<Synchronized, 'diff' | 'withoutKey'> | undefined> {
    const preparation = this.preparation(policy);
    return this.within(async (session) => {
      await refuseForeignState(session, this.context.database.stateSchema);
      const state = await this.readState(session);
      const diff = await rememberedDiff(session, preparation.views, state, preparation);
      if (diff === undefined) {
        return undefined;
      }
      refuseMissingColumns(columnsToBe(diff, [], []));
      return { diff, withoutKey: withoutUsableKey(preparation.views, state) };
    });
  }

  private async underLock(
    policy: SyncPolicy,
    expected: SchemaPlan | undefined,
  ): Promise<{ prepared: Prepared } & Pick<Synchronized, 'postponed' | 'withoutKey'>> {
    const { name, database, options } = this.context;
    const views = this.context.views.all();
    return this.within(async (session) => {
      await waitForLock(session, this.context.locks, syncLockKey(), SYNC_LOCK_TAKEN);
      await refuseForeignState(session, database.stateSchema);
      // Worked out again: another process may have done it all while this one waited.
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
      const state = await this.remember(session, prepared, policy);
      return { prepared, postponed, withoutKey: withoutUsableKey(views, state) };
    });
  }

  private async remember(
    session: Session,
    { plan }: Prepared,
    policy: SyncPolicy,
  ): Promise<DatabaseState> {
    await this.followRenames(session);
    const state = await this.readState(session);
    const left = new Set(plan.skipped.map(({ view }) => view));
    const records = this.context.views.all().flatMap((view) => {
      const deployed = state.views.get(viewName(view));
      const known = state.known.get(viewName(view));
      if (deployed === undefined || left.has(viewName(view))) {
        return [];
      }
      const declared = new Set(view.indexes.map((index) => index.name));
      return [
        {
          view: view.name,
          isPopulated: deployed.row.is_populated,
          ownIndexes: deployed.indexes.map(({ name }) => name).filter((name) => declared.has(name)),
          declaredHash: declarationRecord(view),
          fingerprint: fingerprint(view, deployed),
          version: view.version,
          capture: allowsCreation(policy)
            ? effectiveCapture(view, known, allowsChanges(policy))
            : (known?.capture ?? null),
        },
      ];
    });
    const { application, database } = this.context;
    await session.query(recordDefinitions(database.stateSchema, application, records));
    await this.rememberHolders(session, state, left);
    return state;
  }

  /** Also of a view that is left as it is: another application must not drop it. */
  private async rememberHolders(
    session: Session,
    state: DatabaseState,
    left: ReadonlySet<string>,
  ): Promise<void> {
    const { application, database, views } = this.context;
    const { stateSchema } = database;
    const claimed = views
      .all()
      .filter((view) => left.has(viewName(view)) && state.views.has(viewName(view)))
      .map(({ name }) => name);
    if (claimed.length > 0) {
      await session.query(claimViews(stateSchema, application, claimed));
    }
    const declared = new Set([...this.declaredElsewhere(), ...views.all().map(viewName)]);
    const released = releasable(state, declared, application);
    if (released.length > 0) {
      await session.query(releaseViews(stateSchema, application, released));
    }
  }

  /** A view may have been renamed by a migration: its state and history follow. */
  private async followRenames(session: Session): Promise<void> {
    const { stateSchema } = this.context.database;
    const renamed = this.context.views.all().filter((view) => view.renamedFrom !== undefined);
    if (renamed.length === 0) {
      return;
    }
    const moved = findMoved(renamed, await this.readState(session));
    for (const statement of moveKnownViews(stateSchema, movesOf(moved))) {
      await session.query(statement);
    }
  }

  private readState(session: Session): Promise<DatabaseState> {
    const { database, views } = this.context;
    const names = views.all().map((view) => view.name);
    return readSteadily(session, database.stateSchema, names);
  }

  private async explained<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw schemaErrorFrom(error);
    }
  }

  private warnOfUnpruned({ diff, plan }: Prepared): void {
    const unpruned = describeUnpruned(diff.orphans, this.context.application);
    if (plan.policy.prune && unpruned !== undefined) {
      this.context.log.warn(unpruned);
    }
  }

  private warnOfDropped(reports: readonly ViewReport[]): void {
    for (const { view, outcome, reason } of reports) {
      if (outcome === 'dropped') {
        this.context.log.warn(`Materialized view "${view}" was dropped: ${reason}`);
      }
    }
  }

  private told(report: SyncReport): SyncReport {
    const name = isDrifted(report) ? 'schemaDrifted' : 'schemaSynced';
    this.context.events.publish(MaterializedViewEvents[name], report);
    return report;
  }
}

/** `onDrift: 'fail'`: what the policy leaves is an error. */
function refuseDrift({ plan, left }: Prepared, policy: SyncPolicy): void {
  const [first] = left;
  if (policy.onDrift === 'fail' && first !== undefined) {
    const views = plan.skipped.map(({ view, reason }) => `"${view}": ${reason}`).join('; ');
    throw new SchemaDriftError(
      `The database is not what the code declares: ${views}. Nothing has been changed.`,
      {
        view: viewName(first.view),
        hint: 'Apply the change with a migration or SchemaService.apply.',
      },
    );
  }
}
