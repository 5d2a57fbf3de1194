import { Mutex } from 'async-mutex';
import type { ClientBase } from 'pg';
import type { EntityManager, QueryRunner } from 'typeorm';
import type { DataSourceContext } from '../definition/data-source.context.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { RefreshBusyError } from '../errors/refresh.errors.js';
import { InvalidOptionsError } from '../errors/usage.errors.js';
import { CallerTransaction } from '../postgres/folded-transaction.js';
import { OneByOneClient } from '../postgres/one-by-one.client.js';
import { Session, type SessionClient } from '../postgres/session.js';
import { transactionRequest } from './occasions.js';
import type { CheckedRefreshOptions, RefreshOptions } from './refresh-options.js';
import type { RefreshReporter } from './refresh.reporter.js';
import type { RefreshResult } from './refresh-result.js';
import { RefreshRun } from './refresh-run.js';
import { isBusy } from './run-results.js';

/** The options that only concern a refresh in the caller's transaction. */
interface CallerOptions extends Pick<RefreshOptions, 'onBusy'> {
  /** A manager with an open transaction. */
  manager: EntityManager;
}

/** Refreshes in the application's transactions. */
export class CallerRefresh {
  private readonly turns = new WeakMap<QueryRunner, Mutex>();

  constructor(
    private readonly context: DataSourceContext,
    private readonly reporter: Pick<RefreshReporter, 'clock'>,
  ) {}

  /**
   * @throws RefreshError if it fails; the transaction is as it was before and can go on
   * @throws InvalidOptionsError if the manager belongs to another data source
   */
  async refresh(
    definition: ViewDefinition,
    options: CheckedRefreshOptions,
    { manager, onBusy = 'wait' }: CallerOptions,
  ): Promise<RefreshResult> {
    const { lockTimeoutMs } = this.context.options;
    const client = await this.clientOf(definition, manager);
    const adapted = forCallersTransaction(definition, lockTimeoutMs);
    const run = new RefreshRun(
      transactionRequest(adapted, options, onBusy),
      this.context,
      // No limits but those of the caller's transaction.
      { lockTimeoutMs: 0, statementTimeoutMs: 0, backoffMs: 0 },
    );
    const transaction = new CallerTransaction(
      new Session(client, 0),
      Object.keys(adapted.refresh.settings),
    );
    const result = await this.context.locks.during(() =>
      this.turnsOf(manager).runExclusive(() => run.executeIn(transaction)),
    );
    this.reporter.clock(definition, run.aheadUntil);
    if (isBusy(result)) {
      this.context.locks.maybeLook();
    }
    if (onBusy === 'fail' && isBusy(result)) {
      throw RefreshBusyError.of(result.view);
    }
    return result;
  }

  /** One at a time in a transaction: savepoints are a stack, so one of two refreshes would undo the other. */
  private turnsOf({ queryRunner }: EntityManager): Mutex {
    const key = queryRunner as QueryRunner;
    const turns = this.turns.get(key) ?? new Mutex();
    this.turns.set(key, turns);
    return turns;
  }

  private async clientOf(
    definition: ViewDefinition,
    { connection, queryRunner }: EntityManager,
  ): Promise<SessionClient> {
    if (connection !== this.context.typeOrm) {
      throw new InvalidOptionsError(
        `RefreshService.refresh: expected \`manager\` to be one of data source "${this.context.name}", where "${viewName(definition)}" is registered, got one of another data source.`,
        { view: viewName(definition) },
      );
    }
    // A connection of TypeORM's has no pipeline, and TypeORM decides what becomes of it.
    return new OneByOneClient((await queryRunner?.connect()) as ClientBase, () => undefined);
  }
}

/**
 * Without `freshness`, so that the refresh stores no signature: DDL that follows in the same transaction would give
 * catalog rows no newer version. And in a serializable transaction, reading the log would make writers fail.
 */
function forCallersTransaction(definition: ViewDefinition, lockTimeoutMs: number): ViewDefinition {
  const settings = { ...definition.refresh.settings, lock_timeout: String(lockTimeoutMs) };
  return { ...definition, freshness: undefined, refresh: { ...definition.refresh, settings } };
}
