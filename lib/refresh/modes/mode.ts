import type { ViewDefinition } from '../../definition/view-definition.js';
import type { RefreshPreconditionRow } from '../../postgres/refresh.sql.js';
import type { Session } from '../../postgres/session.js';
import type { SqlStatement } from '../../postgres/sql-statement.js';
import type { RequestedMode } from '../refresh-request.js';
import type { RefreshMode, RefreshModeReason } from '../refresh-result.js';

/** What a mode needs to store new rows. */
export interface ModeRun {
  /** With an open transaction that holds the view's refresh lock. */
  session: Session;
  stateSchema: string;
  definition: ViewDefinition;
  withData: boolean;
  lockTimeoutMs: number;
  /**
   * Call it with the statement that runs the view's query: if that fails, the view's query failed.
   */
  onViewStatement: (statement: SqlStatement | undefined) => void;
}

/** One way to store the new rows of a view. */
export interface Mode {
  name: RefreshMode;
  /** Why a refresh runs in this mode; `undefined` if it doesn't. */
  accepts: (
    conditions: Pick<RefreshPreconditionRow, 'is_populated' | 'has_usable_unique_index'>,
    requested: RequestedMode,
  ) => RefreshModeReason | undefined;
  /**
   * Stores the rows, or returns the statements that do. Those are then sent together with the record of the
   * success.
   */
  run: (run: ModeRun) => Promise<SqlStatement[]>;
  /** Whether another relation has replaced the view: it is already analysed, and its counters begin at zero. */
  replacesView: boolean;
}
