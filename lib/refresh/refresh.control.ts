import type { DataSourceContext } from '../definition/data-source.context.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { refreshErrorFrom } from '../errors/refresh-error.factory.js';
import { RefreshStoppedError } from '../errors/refresh.errors.js';
import { statusErrorFrom } from '../errors/status-error.factory.js';
import { refreshLockKey, syncLockKey } from '../postgres/advisory-lock.js';
import {
  type CancelledRow,
  cancelLockHolders,
  type RunningRow,
  selectLockHolders,
} from '../postgres/advisory-lock.sql.js';
import { PoolStopped } from '../postgres/connection-pool.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { setPaused } from '../postgres/state.sql.js';
import type { RefreshRunner } from './refresh.runner.js';

/** A refresh that is running now. */
export interface RunningRefresh {
  /** The view, as `schema.name`. */
  view: string;
  dataSource: string;
  /** The server process that does it. */
  backendPid: number;
  /** What the connection calls itself (`application_name`). */
  applicationName: string;
  /** When its transaction began, by the database's clock; absent where the role may not see it. */
  startedAt?: Date;
}

/** What people do to refreshes. Who refreshes is told by the lock, so all processes are meant. */
export class RefreshControl {
  constructor(
    private readonly context: DataSourceContext,
    private readonly runner: RefreshRunner,
  ) {}

  async cancel(definition: ViewDefinition): Promise<boolean> {
    // Once only: by a second time the lock may be that of the next refresh.
    const cancelled = await this.explained(definition, () =>
      this.context.database.bookkeeping((session) =>
        session.query<CancelledRow>(
          cancelLockHolders(refreshLockKey(definition.name), syncLockKey()),
        ),
      ),
    );
    const backendPids = cancelled.map((row) => row.backend_pid);
    // One of this process that waits behind the cancelled one goes on.
    const isOwn = backendPids.length === 0 || this.runner.isBackend(definition, backendPids);
    return (isOwn && this.runner.forbid(definition)) || backendPids.length > 0;
  }

  async setPaused(definition: ViewDefinition, isPaused: boolean): Promise<void> {
    const { database } = this.context;
    await this.explained(definition, () =>
      database.bookkeeping((session) =>
        session.query(setPaused(database.stateSchema, definition.name, isPaused)),
      ),
    );
  }

  async running(timeoutMs: number): Promise<RunningRefresh[]> {
    const views = new Map(
      this.context.views.all().map((each) => [refreshLockKey(each.name), viewName(each)]),
    );
    const holders = selectLockHolders([...views.keys()], syncLockKey());
    const rows = await this.read(holders, timeoutMs);
    return rows.map((row) => ({
      view: views.get(row.key) ?? '',
      dataSource: this.context.name,
      backendPid: row.backend_pid,
      applicationName: row.application_name ?? '',
      startedAt: row.started_at === null ? undefined : new Date(row.started_at),
    }));
  }

  private async read(statement: SqlStatement, timeoutMs: number): Promise<RunningRow[]> {
    try {
      return await this.context.database.reading(timeoutMs, (session) =>
        session.query<RunningRow>(statement),
      );
    } catch (cause) {
      throw statusErrorFrom(cause, 'find the running refreshes');
    }
  }

  /** @throws RefreshError for whatever goes wrong with the library's own tables */
  private async explained<T>(definition: ViewDefinition, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      if (cause instanceof PoolStopped) {
        throw RefreshStoppedError.of(viewName(definition));
      }
      throw refreshErrorFrom(cause, {
        view: viewName(definition),
        isTimeout: false,
        isOwnStatement: true,
      });
    }
  }
}
