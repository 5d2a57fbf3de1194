import type { DataSourceContext } from '../definition/data-source.context.js';
import type { LockHolder } from '../definition/lock-holder.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { refreshErrorFrom } from '../errors/refresh-error.factory.js';
import { InsufficientPrivilegeError, RefreshStoppedError } from '../errors/refresh.errors.js';
import { statusErrorFrom } from '../errors/status-error.factory.js';
import { StatusError } from '../errors/status.errors.js';
import { refreshLockKey, syncLockKey } from '../postgres/advisory-lock.js';
import {
  type CancelledRow,
  cancelLockHolders,
  type LockHolderRow,
  selectLockHolders,
} from '../postgres/advisory-lock.sql.js';
import { messageOf } from '../errors/error-message.js';
import { PoolStopped } from '../postgres/connection-pool.js';
import { selectStandby, type StandbyRow } from '../postgres/server.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { setPaused } from '../postgres/state.sql.js';
import type { RefreshRunner } from './refresh.runner.js';

/** A refresh that is running now, or another holder of a view's refresh lock. */
export interface RunningRefresh extends LockHolder {
  /** The view, as `schema.name`. */
  view: string;
  dataSource: string;
}

/** Pausing, cancelling and listing refreshes. The lock shows who refreshes, in any process. */
export class RefreshControl {
  constructor(
    private readonly context: DataSourceContext,
    private readonly runner: RefreshRunner,
  ) {}

  async cancel(definition: ViewDefinition): Promise<boolean> {
    // Only once: the second time, the lock may belong to the next refresh.
    const cancelled = await this.explained(definition, () =>
      this.context.database
        .bookkeeping((session) =>
          session.query<CancelledRow>(
            cancelLockHolders(refreshLockKey(definition.name), syncLockKey()),
          ),
        )
        .catch((cause: unknown) => {
          throw cancelErrorFrom(cause, viewName(definition));
        }),
    );
    const backendPids = cancelled.map((row) => row.backend_pid);
    // A refresh of this process that waits behind the cancelled one goes on.
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
    const refreshes = rows.filter(({ changes_schema: changesSchema }) => !changesSchema);
    return refreshes.map((row) => ({
      view: views.get(row.key) ?? '',
      dataSource: this.context.name,
      ...this.context.locks.holderOf(row),
    }));
  }

  private async read(statement: SqlStatement, timeoutMs: number): Promise<LockHolderRow[]> {
    try {
      return await this.context.database.reading(timeoutMs, async (session) => {
        const [server] = await session.query<StandbyRow>(selectStandby());
        if (server?.is_standby) {
          throw new StatusError(
            `Could not find the running refreshes of data source "${this.context.name}": the server is a standby.`,
            {
              hint: 'Only the primary knows who refreshes: ask a data source that is connected to it.',
            },
          );
        }
        return session.query<LockHolderRow>(statement);
      });
    } catch (cause) {
      throw statusErrorFrom(cause, 'find the running refreshes');
    }
  }

  /** @throws RefreshError for any failure with the library's own tables */
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

/** The error for the caller of `cancel` if PostgreSQL refuses it. */
function cancelErrorFrom(cause: unknown, view: string): unknown {
  return errorCode(cause) === SqlState.insufficientPrivilege
    ? new InsufficientPrivilegeError(
        `The refresh of materialized view "${view}" was not cancelled: the role may not signal the server process that does it (${SqlState.insufficientPrivilege}: ${messageOf(cause)}).`,
        {
          view,
          cause,
          hint: 'The role must be the one that refreshes, a member of it, or a member of pg_signal_backend; what a superuser does, only a superuser may cancel.',
        },
      )
    : cause;
}
