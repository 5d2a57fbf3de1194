import { Inject, Injectable } from '@nestjs/common';
import { isDeepStrictEqual } from 'node:util';
import { DataSourceRegistry } from '../definition/data-source.registry.js';
import { DefinitionRegistry } from '../definition/definition.registry.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { EventPublisher } from '../events/event.publisher.js';
import { MaterializedViewEvents } from '../events/materialized-view.events.js';
import { PlanOutdatedError, SchemaDriftError } from '../errors/schema.errors.js';
import { effectiveCapture } from '../freshness/capture-record.js';
import type { SyncPolicy } from '../materialized-views.options.js';
import { ModuleRegistrations } from '../module-registrations.js';
import { syncLockKey } from '../postgres/advisory-lock.js';
import { lock } from '../postgres/advisory-lock.sql.js';
import type { Database } from '../postgres/database.js';
import { displayName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { deleteKnownView, recordDefinitions, renameKnownView } from '../postgres/state.sql.js';
import type { DatabaseState } from './database-state.js';
import { readSteadily } from './steady-read.js';
import { declaredHash, fingerprint } from './fingerprint.js';
import { PlanRun } from './plan-run.js';
import type { PostponedStep } from './plan-step.js';
import { type PreparationContext, type Prepared, prepare } from './preparation.js';
import { rememberedDiff } from './remembered-diff.js';
import { schemaErrorFrom } from './schema-error.js';
import type { SchemaPlan } from './schema-plan.js';
import type { SchemaDiff } from './schema-diff.js';
import { allowsChanges, allowsCreation } from './sync-policy.js';
import {
  failedReports,
  isDrifted,
  publishReport,
  reportsOf,
  type SyncReport,
  unchangedReports,
} from './sync-report.js';

/** What became of a synchronisation. */
export interface Synchronized {
  report: SyncReport;
  diff: SchemaDiff;
  /** The step for which the locks could not be had, and without which all others were done. */
  postponed?: PostponedStep;
}

/** Brings databases to what the code declares, one process at a time. */
@Injectable()
export class SchemaSynchronizer {
  constructor(
    @Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations,
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
    @Inject(DefinitionRegistry) private readonly definitions: DefinitionRegistry,
    @Inject(EventPublisher) private readonly events: EventPublisher,
  ) {}

  /** Works a plan out and leaves everything as it is. */
  async inspect(dataSource: string, policy: SyncPolicy): Promise<Prepared> {
    const database = this.dataSources.get(dataSource);
    return this.explained(database, () =>
      this.transaction(database, (session) =>
        session.undone(() => prepare(session, this.context(dataSource, policy))),
      ),
    );
  }

  /**
   * Plans and carries out, in one transaction under the sync lock: whole, or not at all. Only without an expected
   * plan a step may be postponed.
   *
   * @param expected a plan made before, which must still be the right one
   */
  async carryOut(
    dataSource: string,
    policy: SyncPolicy,
    expected?: SchemaPlan,
  ): Promise<Synchronized> {
    const startedAtMs = performance.now();
    const database = this.dataSources.get(dataSource);
    const views = this.viewsOf(dataSource);
    return this.explained(database, async () => {
      // Nothing new is the usual case at boot: it takes no lock and needs no right to create.
      const remembered =
        expected === undefined ? await this.remembered(database, dataSource, policy) : undefined;
      if (remembered !== undefined) {
        const reports = unchangedReports(remembered);
        const report = this.told(publishReport(dataSource, reports, startedAtMs));
        return { report, diff: remembered };
      }
      try {
        const { prepared, postponed } = await this.underLock(
          database,
          dataSource,
          policy,
          expected,
        );
        const reports = reportsOf(prepared, views);
        const report = this.told(publishReport(dataSource, reports, startedAtMs));
        return { report, diff: prepared.diff, postponed };
      } catch (error) {
        publishReport(dataSource, failedReports(views, error), startedAtMs);
        throw error;
      }
    });
  }

  /** Runs `work` in a transaction. */
  async within<T>(dataSource: string, work: (session: Session) => Promise<T>): Promise<T> {
    return this.transaction(this.dataSources.get(dataSource), work);
  }

  /** Runs `work` in a transaction that holds the sync lock. */
  async locked<T>(dataSource: string, work: (session: Session) => Promise<T>): Promise<T> {
    const database = this.dataSources.get(dataSource);
    return this.explained(database, () =>
      this.transaction(database, async (session) => {
        await session.query(lock(syncLockKey()));
        return work(session);
      }),
    );
  }

  /** Reads what the database has, without a lock. */
  async read(dataSource: string): Promise<DatabaseState> {
    const database = this.dataSources.get(dataSource);
    return this.explained(database, () =>
      this.transaction(database, (session) => this.readState(session, database, dataSource)),
    );
  }

  viewsOf(dataSource: string): ViewDefinition[] {
    return this.definitions.in(dataSource);
  }

  /** The limits and names that a preparation needs. */
  context(dataSource: string, policy: SyncPolicy): PreparationContext {
    const { syncTimeoutMs, lockTimeoutMs, statementTimeoutMs, stateSchema, wakeUp } =
      this.registrations.options;
    const limits = { lockTimeoutMs, statementTimeoutMs };
    const others = this.definitions.all().filter((view) => view.dataSourceName !== dataSource);
    return {
      dataSource,
      stateSchema,
      views: this.viewsOf(dataSource),
      declaredElsewhere: new Set(others.map(viewName)),
      policy,
      wakeUp,
      syncTimeoutMs,
      limits,
    };
  }

  private async remembered(
    database: Database,
    dataSource: string,
    policy: SyncPolicy,
  ): Promise<SchemaDiff | undefined> {
    const context = this.context(dataSource, policy);
    return this.transaction(database, async (session) => {
      const state = await this.readState(session, database, dataSource);
      return rememberedDiff(session, context.views, state, context);
    });
  }

  private async underLock(
    database: Database,
    dataSource: string,
    policy: SyncPolicy,
    expected: SchemaPlan | undefined,
  ): Promise<{ prepared: Prepared; postponed?: PostponedStep }> {
    const views = this.viewsOf(dataSource);
    return this.transaction(database, async (session) => {
      await session.query(lock(syncLockKey()));
      // Worked out again: another process may have done it all while this one waited.
      const prepared = await prepare(session, this.context(dataSource, policy));
      if (expected !== undefined && !isDeepStrictEqual(expected.steps, prepared.plan.steps)) {
        throw new PlanOutdatedError(
          `The database or the code has changed since the plan for data source "${dataSource}" was made. Nothing has been changed.`,
          { hint: 'Make a new plan, look at it, and apply that.' },
        );
      }
      refuseDrift(prepared, policy);
      const { lockTimeoutMs } = this.registrations.options;
      const mayPostpone = expected === undefined;
      const run = new PlanRun(session, database.stateSchema, views, lockTimeoutMs, mayPostpone);
      const postponed = await run.run(prepared.plan);
      await this.remember(session, database, prepared, policy);
      return { prepared, postponed };
    });
  }

  private async remember(
    session: Session,
    database: Database,
    { plan }: Prepared,
    policy: SyncPolicy,
  ): Promise<void> {
    const { dataSource, skipped } = plan;
    await this.followRenames(session, database, dataSource);
    const state = await this.readState(session, database, dataSource);
    const left = new Set(skipped.map(({ view }) => view));
    const records = this.viewsOf(dataSource).flatMap((view) => {
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
          declaredHash: declaredHash(view),
          fingerprint: fingerprint(view, deployed),
          version: view.version,
          capture: allowsCreation(policy)
            ? effectiveCapture(view, known, allowsChanges(policy))
            : (known?.capture ?? null),
        },
      ];
    });
    await session.query(recordDefinitions(database.stateSchema, records));
  }

  /** A view may have been renamed by a migration: its state and history follow. */
  private async followRenames(
    session: Session,
    database: Database,
    dataSource: string,
  ): Promise<void> {
    const renamed = this.viewsOf(dataSource).filter((view) => view.renamedFrom !== undefined);
    if (renamed.length === 0) {
      return;
    }
    const { known, views } = await this.readState(session, database, dataSource);
    for (const { name, renamedFrom } of renamed) {
      const isLeftBehind =
        renamedFrom !== undefined &&
        known.has(displayName(renamedFrom)) &&
        !known.has(displayName(name)) &&
        !views.has(displayName(renamedFrom));
      if (isLeftBehind) {
        await session.query(deleteKnownView(database.stateSchema, name));
        await session.query(renameKnownView(database.stateSchema, renamedFrom, name));
      }
    }
  }

  private readState(
    session: Session,
    { stateSchema }: Database,
    dataSource: string,
  ): Promise<DatabaseState> {
    const names = this.viewsOf(dataSource).map((view) => view.name);
    return readSteadily(session, stateSchema, names);
  }

  private transaction<T>(database: Database, work: (session: Session) => Promise<T>): Promise<T> {
    const { syncTimeoutMs, statementTimeoutMs } = this.registrations.options;
    const limits = {
      lockTimeoutMs: syncTimeoutMs,
      // Room for both to wait for the sync lock and to work.
      statementTimeoutMs: statementTimeoutMs && statementTimeoutMs + syncTimeoutMs,
    };
    return database.transaction(limits, work);
  }

  private async explained<T>(database: Database, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw schemaErrorFrom(error, database.stateSchema);
    }
  }

  private told(report: SyncReport): SyncReport {
    const name = isDrifted(report) ? 'schemaDrifted' : 'schemaSynced';
    this.events.publish(MaterializedViewEvents[name], report);
    return report;
  }
}

/** `onChange: 'fail'`: what the policy leaves is an error. */
function refuseDrift({ plan, left }: Prepared, policy: SyncPolicy): void {
  const [first] = left;
  if (policy.onChange === 'fail' && first !== undefined) {
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
