import { randomUUID } from 'node:crypto';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { recordSuccess } from '../postgres/history.sql.js';
import {
  type RefreshPreconditionRow,
  selectRefreshPreconditions,
} from '../postgres/refresh.sql.js';
import type { Session } from '../postgres/session.js';
import { script, type SqlStatement } from '../postgres/sql-statement.js';
import { deleteKnownView } from '../postgres/state.sql.js';
import { SchemaStepError, taskOf } from './schema-error.js';
import {
  briefForCaptures,
  isLockFailure,
  isOutOfLocks,
  longForCaptures,
  type Patience,
  patiently,
} from './lock-attempts.js';
import type { PlanStep, PostponedStep } from './plan-step.js';
import type { SchemaPlan } from './schema-plan.js';

/** Carries out a plan in the caller's transaction. */
export class PlanRun {
  constructor(
    private readonly session: Session,
    private readonly stateSchema: string,
    private readonly views: readonly ViewDefinition[],
    private readonly lockTimeoutMs: number,
    /** Whether triggers of tables may be left out for which the locks cannot be had. */
    private readonly mayPostpone: boolean,
  ) {}

  /**
   * Renames have been carried out when the plan was made.
   *
   * @returns the step that was left out
   */
  async run({ steps }: SchemaPlan): Promise<PostponedStep | undefined> {
    let postponed: PostponedStep | undefined;
    for (const step of steps.filter(({ action }) => action !== 'rename')) {
      if (step.action === 'build' || step.action === 'populate') {
        await this.fill(step);
      } else if (step.action === 'capture') {
        postponed = await this.capture(step);
      } else {
        await this.change(step);
      }
      if (step.action === 'drop' && step.name !== undefined) {
        await this.session.query(deleteKnownView(this.stateSchema, step.name));
      }
    }
    return postponed;
  }

  /** @returns the step where it was left out */
  private async capture(step: PlanStep): Promise<PostponedStep | undefined> {
    if (!this.mayPostpone) {
      await this.change(step, longForCaptures(this.lockTimeoutMs));
      return undefined;
    }
    try {
      await this.change(step, briefForCaptures(this.lockTimeoutMs));
      return undefined;
    } catch (error) {
      if (isLockFailure(error) || isOutOfLocks(error)) {
        return { ...step, isTooLarge: isOutOfLocks(error) };
      }
      throw error;
    }
  }

  private async change(step: PlanStep, patience?: Patience): Promise<void> {
    const isPlain = step.statements.every(
      ({ values, hasApplicationText }) => values === undefined && hasApplicationText !== true,
    );
    const statements = isPlain ? [script(step.statements)] : step.statements;
    if (statements.length > 0) {
      const work = (): Promise<void> => this.execute(statements, step);
      await patiently(this.session, this.lockTimeoutMs, work, patience);
    }
  }

  /** Rows that a plan computes are a refresh too: state and history say so. */
  private async fill(step: PlanStep): Promise<void> {
    const view = this.views.find((each) => viewName(each) === step.view);
    if (view === undefined || (step.action === 'build' && !view.withData)) {
      await this.execute(step.statements, step);
      return;
    }
    const [before] = await this.session.query<RefreshPreconditionRow>(
      selectRefreshPreconditions(this.stateSchema, view.name),
    );
    await this.execute(step.statements, step);
    if (before !== undefined) {
      await this.session.query(
        recordSuccess(this.stateSchema, {
          runId: randomUUID(),
          view: view.name,
          trigger: 'sync',
          attempt: 1,
          startedAt: before.started_at,
          mode: 'blocking',
          modeReason: before.relation_kind === null ? 'created' : 'definition_changed',
          snapshot: before.snapshot,
          // Its sources get their triggers last: what is written until then nobody is told of.
          signature: null,
        }),
      );
    }
  }

  private async execute(statements: SqlStatement[], step: PlanStep): Promise<void> {
    for (const statement of statements) {
      try {
        await this.session.query(statement);
      } catch (cause) {
        const view = this.views.find((each) => viewName(each) === step.view);
        throw new SchemaStepError(cause, taskOf(step, view, this.stateSchema));
      }
    }
  }
}
