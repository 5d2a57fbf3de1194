import { Inject, Injectable } from '@nestjs/common';
import { Mutex } from 'async-mutex';
import type { ClientBase, QueryConfig, QueryResultRow } from 'pg';
import type { EntityManager, QueryRunner } from 'typeorm';
import { DataSourceRegistry } from '../definition/data-source.registry.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { RefreshBusyError } from '../errors/refresh.errors.js';
import { InvalidRefreshOptionsError } from '../errors/usage.errors.js';
import { ModuleRegistrations } from '../module-registrations.js';
import { CallerTransaction } from '../postgres/folded-transaction.js';
import { Session, type SessionClient } from '../postgres/session.js';
import type { CheckedRefreshOptions, RefreshOptions } from './refresh-options.js';
import type { RefreshResult } from './refresh-result.js';
import { RefreshRun } from './refresh-run.js';
import { isBusy } from './run-results.js';

/** Refreshes in transactions of the application. */
@Injectable()
export class CallerRefresh {
  private readonly turns = new WeakMap<QueryRunner, Mutex>();

  constructor(
    @Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations,
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
  ) {}

  /** @throws RefreshError when it fails; the transaction is as it was before and can go on */
  async refresh(
    definition: ViewDefinition,
    { mode, onPaused, trigger }: CheckedRefreshOptions,
    { manager, onBusy = 'wait' }: RefreshOptions,
  ): Promise<RefreshResult> {
    const { lockTimeoutMs } = this.registrations.options;
    const client = await this.clientOf(definition, manager as EntityManager);
    const settings = { ...definition.refresh.settings, lock_timeout: String(lockTimeoutMs) };
    const run = new RefreshRun(
      {
        // Tells nothing of what it has seen: DDL may follow in the transaction, which leaves no other version.
        // And in a serializable one, to read the log would make writers fail.
        definition: {
          ...definition,
          freshness: undefined,
          refresh: { ...definition.refresh, settings },
        },
        trigger,
        mode,
        skipsPaused: onPaused === 'skip',
        skipsUnchanged: false,
        keepsMinInterval: mode.withData,
        waitsForLock: onBusy === 'wait',
      },
      this.dataSources.get(definition.dataSourceName),
      // The caller's own limits apply.
      { lockTimeoutMs: 0, statementTimeoutMs: 0, backoffMs: 0 },
    );
    const transaction = new CallerTransaction(new Session(client, 0), Object.keys(settings));
    const result = await this.turnsOf(manager as EntityManager).runExclusive(() =>
      run.executeIn(transaction),
    );
    if (onBusy === 'fail' && isBusy(result)) {
      throw RefreshBusyError.of(result.view);
    }
    return result;
  }

  /** Savepoints are a stack: of two refreshes at a time in one transaction one would undo the other. */
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
    if (connection !== this.dataSources.typeOrm(definition.dataSourceName)) {
      throw new InvalidRefreshOptionsError(
        `RefreshService.refresh: expected \`manager\` to be one of data source "${definition.dataSourceName}", where "${viewName(definition)}" is registered, got one of another data source.`,
        { view: viewName(definition) },
      );
    }
    return new BorrowedClient((await queryRunner?.connect()) as ClientBase);
  }
}

/** A connection of TypeORM's: no pipeline, so one statement at a time, and not ours to cut off. */
class BorrowedClient implements SessionClient {
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly client: ClientBase) {}

  async query<Row extends QueryResultRow>(config: QueryConfig): Promise<{ rows: Row[] }> {
    const result = this.last.then(() => this.client.query<Row>(config));
    this.last = result.catch(() => undefined);
    return result;
  }

  cutOff(): void {
    // What becomes of the connection is TypeORM's business.
  }
}
