import { randomUUID } from 'node:crypto';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import { recordSuccess } from '../postgres/history.sql.js';
import {
  type RefreshPreconditionRow,
  selectRefreshPreconditions,
} from '../postgres/refresh.sql.js';
import type { Session } from '../postgres/session.js';
import { script, type SqlStatement } from '../postgres/sql-statement.js';
import { deleteKnownView } from '../postgres/state.sql.js';
import { setLocalLockTimeout } from '../postgres/transaction.sql.js';
import { lockAgainstReaders } from '../postgres/view-lock.sql.js';
import { SchemaStepError, taskOf } from './schema-error.js';
import {
  briefForCaptures,
  isLockFailure,
  isOutOfLocks,
  longForCaptures,
  patiently,
} from '../postgres/lock-attempts.js';
import type { PlanStep, PostponedStep } from './plan-step.js';
import type { SchemaPlan } from './schema-plan.js';

/** Carries out a plan in the caller's transaction. */
export class PlanRun {
  constructor(
    private readonly session: Session,
    private readonly stateSchema: string,
    private readonly views: readonly ViewDefinition[],
    private readonly lockTimeoutMs: number,
    /** Whether triggers may be left out if their tables' locks are not free. */
    private readonly mayPostpone: boolean,
  ) {}

  /**
   * Steps that don't stop readers run first, one by one. Then all views whose readers the other steps stop are
   * locked together, and these steps run: while a reader waits for this plan, the plan waits for no lock.
   *
   * @returns the step that was left out
   */
  async run({ steps }: SchemaPlan): Promise<PostponedStep | undefined> {
    const captures = steps.filter(({ action }) => action === 'capture');
    const others = steps.filter(({ action }) => action !== 'capture');
    const at = others.findIndex(({ stops }) => stops !== undefined && stops.length > 0);
    const exchange = at < 0 ? [] : others.slice(at);
    for (const step of at < 0 ? others : others.slice(0, at)) {
      // Steps that compute rows wait for their locks as long as allowed; the others retry.
      await (step.rewritesRows || step.action === 'build'
        ? this.carryOut(step)
        : patiently(this.session, this.lockTimeoutMs, () => this.carryOut(step)));
    }
    if (exchange.some(({ rewritesRows }) => rewritesRows)) {
      // Writers should not wait as long as readers have to.
      await patiently(this.session, this.lockTimeoutMs, (waitMs) =>
        this.exchange(exchange, waitMs),
      );
      return this.finish(captures, []);
    }
    return this.finish(captures, exchange);
  }

  /**
   * Triggers are created all or none: if one of the locks is not free, all are released. The writers of one table
   * must not wait while this waits for another table.
   *
   * @returns what was left out, as a single step
   */
  private async finish(
    captures: PlanStep[],
    exchange: PlanStep[],
  ): Promise<PostponedStep | undefined> {
    const [first] = captures;
    if (first === undefined) {
      await this.exchangeAlone(exchange);
      return undefined;
    }
    const patience = this.mayPostpone ? briefForCaptures : longForCaptures;
    try {
      await patiently(
        this.session,
        this.lockTimeoutMs,
        async (waitMs) => {
          // The tables first: waiting for their locks may take longer, and no reader waits
          // meanwhile.
          for (const capture of captures) {
            await this.execute(inOneGo(capture.statements), capture);
          }
          await this.exchange(exchange, waitMs);
        },
        patience(this.lockTimeoutMs),
      );
      return undefined;
    } catch (error) {
      if (!this.mayPostpone || !(isLockFailure(error) || isOutOfLocks(error))) {
        throw error;
      }
      await this.exchangeAlone(exchange);
      const reason = captures.map((capture) => capture.reason).join('; ');
      return { ...first, reason, isTooLarge: isOutOfLocks(error) };
    }
  }

  private async exchangeAlone(exchange: PlanStep[]): Promise<void> {
    if (exchange.length > 0) {
      await patiently(this.session, this.lockTimeoutMs, (waitMs) =>
        this.exchange(exchange, waitMs),
      );
    }
  }

  private async exchange(steps: PlanStep[], waitMs: number): Promise<void> {
    const [first] = steps;
    const stopped = steps.flatMap(({ stops = [] }) => stops);
    if (first !== undefined) {
      await this.execute([lockAgainstReaders(distinct(stopped), waitMs)], first);
    }
    if (steps.some(({ rewritesRows }) => rewritesRows)) {
      await this.session.query(setLocalLockTimeout(this.lockTimeoutMs));
    }
    for (const step of steps) {
      await this.carryOut(step);
    }
  }

  private async carryOut(step: PlanStep): Promise<void> {
    if (step.rewritesRows && (step.action === 'build' || step.action === 'populate')) {
      await this.fill(step);
    } else if (step.statements.length > 0) {
      await this.execute(inOneGo(step.statements), step);
    }
    if (step.action === 'drop' && step.name !== undefined) {
      await this.session.query(deleteKnownView(this.stateSchema, step.name));
    }
  }

  /** Computing rows is a refresh too, so state and history record it. */
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
          // Its sources get their triggers last, so writes until then go unnoticed.
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
        throw new SchemaStepError(
          cause,
          taskOf(step, { view, stateSchema: this.stateSchema, makes: statement.makes }),
        );
      }
    }
  }
}

/** In one round trip, if no values are bound. */
function inOneGo(statements: SqlStatement[]): SqlStatement[] {
  const isPlain = statements.every(
    ({ values, hasApplicationText }) => values === undefined && hasApplicationText !== true,
  );
  return isPlain ? [script(statements)] : statements;
}

function distinct(names: QualifiedName[]): QualifiedName[] {
  return [...new Map(names.map((name) => [displayName(name), name])).values()];
}
