import { randomUUID } from 'node:crypto';
import type { ViewDefinition } from '../definition/view-definition.js';
import { analyze, createIndex, createMaterializedView, createSchema } from '../postgres/ddl.sql.js';
import { type FinishedRow, recordSuccess } from '../postgres/history.sql.js';
import { INSTALLATION_VERSION, installVersion } from '../postgres/installation.sql.js';
import {
  type RefreshPreconditionRow,
  selectRefreshPreconditions,
} from '../postgres/refresh.sql.js';
import type { Session } from '../postgres/session.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { insertKnownView } from '../postgres/state.sql.js';
import { rollbackToSavepoint, savepoint } from '../postgres/transaction.sql.js';
import type { CreationPlan } from './creation-plan.js';
import { SchemaStepError } from './schema-error.js';

/** What became of a view: created with its indexes, or (without a duration) given missing ones. */
export interface CreatedView {
  view: ViewDefinition;
  indexCount: number;
  durationMs?: number;
}

/** Carries out a plan, inside the caller's transaction. */
export class CreationRun {
  constructor(
    private readonly session: Session,
    private readonly stateSchema: string,
  ) {}

  async apply(plan: CreationPlan): Promise<CreatedView[]> {
    for (const schema of plan.schemas) {
      await this.step(createSchema(schema));
    }
    await this.install(plan.installedVersion);
    const created = await this.createViews(plan.views);
    for (const { view, index } of plan.indexes) {
      await this.step(createIndex(view.name, index), view);
    }
    for (const { view, isPopulated } of plan.newcomers) {
      await this.step(insertKnownView(this.stateSchema, view.name, isPopulated), view);
    }
    return [...created, ...indexedViews(plan)];
  }

  private async install(installedVersion: number): Promise<void> {
    for (let version = installedVersion + 1; version <= INSTALLATION_VERSION; version++) {
      for (const statement of installVersion(this.stateSchema, version)) {
        await this.step(statement);
      }
    }
  }

  /**
   * Only PostgreSQL knows for sure what a query reads. So each view is tried; one that reads a view
   * not yet there fails at once, before it reads a row, and is tried again after the others.
   */
  private async createViews(views: ViewDefinition[]): Promise<CreatedView[]> {
    const created: CreatedView[] = [];
    for (let remaining = views; remaining.length > 0;) {
      const postponed: SchemaStepError[] = [];
      for (const view of remaining) {
        await this.createView(view).then(
          (each) => created.push(each),
          (error: unknown) => postponed.push(missingRelation(error)),
        );
      }
      if (postponed.length === remaining.length) {
        throw SchemaStepError.blocked(postponed);
      }
      const postponedViews = new Set(postponed.map((error) => error.view));
      remaining = remaining.filter((view) => postponedViews.has(view));
    }
    return created;
  }

  private async createView(view: ViewDefinition): Promise<CreatedView> {
    const [before] = await this.session.query<RefreshPreconditionRow>(
      selectRefreshPreconditions(this.stateSchema, view.name, undefined),
    );
    await this.step(savepoint());
    try {
      await this.step(createMaterializedView(view.name, view.query), view);
    } catch (error) {
      await this.step(rollbackToSavepoint());
      throw error;
    }
    for (const index of view.indexes) {
      await this.step(createIndex(view.name, index), view);
    }
    await this.step(analyze(view.name), view);
    const [finished] = await this.session.query<FinishedRow>(
      recordSuccess(this.stateSchema, {
        runId: randomUUID(),
        view: view.name,
        trigger: 'startup',
        startedAt: before?.started_at ?? new Date(),
        mode: 'blocking',
        modeReason: 'created',
        snapshot: before?.snapshot ?? '',
      }),
    );
    return { view, indexCount: view.indexes.length, durationMs: finished?.duration_ms };
  }

  private async step(statement: SqlStatement, view?: ViewDefinition): Promise<void> {
    try {
      await this.session.query(statement);
    } catch (cause) {
      throw new SchemaStepError(cause, view);
    }
  }
}

function indexedViews({ indexes }: CreationPlan): CreatedView[] {
  return [...new Set(indexes.map(({ view }) => view))].map((view) => ({
    view,
    indexCount: indexes.filter((each) => each.view === view).length,
  }));
}

/** Passes on any error but that of a relation which is not there (yet). */
function missingRelation(error: unknown): SchemaStepError {
  if (error instanceof SchemaStepError && errorCode(error.cause) === SqlState.undefinedTable) {
    return error;
  }
  throw error;
}
