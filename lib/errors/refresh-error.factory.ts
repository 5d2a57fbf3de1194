import { isConnectionLoss } from '../postgres/session-lost.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { connectionFailure } from './connection-failure.js';
import { DATA_EXCEPTION_CLASS, messageOf } from './error-message.js';
import { OWN_TABLES_HINT } from './own-tables-hint.js';
import type { MaterializedViewErrorDetails } from './materialized-view.error.js';
import { originalMessageOf, type ServerError } from './server-error.js';
import {
  ConnectionFailedError,
  DuplicateRowsError,
  InsufficientPrivilegeError,
  NotPrimaryError,
  RefreshCancelledError,
  RefreshError,
  RefreshLockError,
  RefreshTimeoutError,
  ServerResourcesError,
  ViewMissingError,
  ViewQueryError,
} from './refresh.errors.js';

interface Explanation {
  type: new (message: string, details?: MaterializedViewErrorDetails) => RefreshError;
  what: string;
  hint?: string;
}

const LOCKED: Explanation = {
  type: RefreshLockError,
  what: 'the view stayed locked for longer than lockTimeout',
  hint: 'A blocking refresh waits for every open reader: end long transactions, raise lockTimeout, or give the view a unique index, so that it is refreshed concurrently.',
};

const MISSING: Explanation = {
  type: ViewMissingError,
  what: 'something that it needs is missing from the database',
  hint: 'Was the view, its schema or a table that it reads dropped or renamed by hand? Booting creates a missing view again.',
};

const DUPLICATES: Explanation = {
  type: DuplicateRowsError,
  what: 'the query returns the same unique key more than once',
  hint: 'Correct the query or the unique index. The key is in the detail of the cause, which holds row data.',
};

const QUERY: Explanation = {
  type: ViewQueryError,
  what: 'the query of the view failed',
  hint: 'From PostgreSQL 17 on, functions run with a restricted search_path during a refresh: qualify the names in them, or use ALTER FUNCTION ... SET search_path.',
};

const RESOURCES: Explanation = {
  type: ServerResourcesError,
  what: 'the server has run out of a resource',
  hint: 'See the cause for which: disk, memory, or temporary files (temp_file_limit). CONCURRENTLY needs disk space for the difference too.',
};

/** By SQLSTATE, never by message: messages are translated and change. */
const EXPLANATIONS: Record<string, Explanation> = {
  [SqlState.lockNotAvailable]: LOCKED,
  [SqlState.deadlockDetected]: { ...LOCKED, what: 'PostgreSQL cancelled it to end a deadlock' },
  [SqlState.serializationFailure]: { ...LOCKED, what: 'it conflicted with another transaction' },
  [SqlState.readOnlyTransaction]: {
    type: NotPrimaryError,
    what: 'the server is a standby or read-only',
    hint: 'Point the data source at the primary.',
  },
  [SqlState.insufficientPrivilege]: {
    type: InsufficientPrivilegeError,
    what: 'a privilege is missing',
    hint: 'The role must own the view (from PostgreSQL 17 on, or have MAINTAIN on it), and the owner needs SELECT on every table that it reads and, to refresh concurrently, TEMP on the database.',
  },
  [SqlState.objectNotInPrerequisiteState]: {
    type: RefreshError,
    what: 'something that it reads is not ready',
    hint: 'If the message says that a materialized view has not been populated, refresh that one first.',
  },
  [SqlState.undefinedTable]: MISSING,
  [SqlState.invalidSchemaName]: MISSING,
  [SqlState.wrongObjectType]: { ...MISSING, what: 'the relation is not a materialized view' },
  [SqlState.cardinalityViolation]: DUPLICATES,
  [SqlState.uniqueViolation]: DUPLICATES,
  [SqlState.undefinedFunction]: QUERY,
  [SqlState.undefinedColumn]: QUERY,
  [SqlState.diskFull]: RESOURCES,
  [SqlState.outOfMemory]: RESOURCES,
  [SqlState.configurationLimitExceeded]: RESOURCES,
};

/** What it means if a statement finds the library's own tables other than it needs them. */
const DAMAGED: Explanation = {
  type: RefreshError,
  what: "the library's own tables are missing or damaged",
  hint: OWN_TABLES_HINT,
};

const SETTINGS: Explanation = {
  type: RefreshError,
  what: 'a setting of the view was refused',
  hint: 'See `refresh.settings` of its class: the name, the value, and whether the role may set it.',
};

const OWN_EXPLANATIONS: Record<string, Explanation> = {
  [SqlState.undefinedTable]: DAMAGED,
  [SqlState.undefinedFunction]: DAMAGED,
  [SqlState.invalidSchemaName]: DAMAGED,
  [SqlState.undefinedColumn]: DAMAGED,
  [SqlState.uniqueViolation]: DAMAGED,
  [SqlState.insufficientPrivilege]: {
    type: InsufficientPrivilegeError,
    what: "a privilege on the library's own tables is missing",
    hint: 'The role needs USAGE on the schema `stateSchema`, and SELECT, INSERT and UPDATE on its tables.',
  },
};

const TIMEOUT_HINT = 'Raise statementTimeout, or make the query faster.';

/** What to do about a failed run in the history, by its code. */
export function hintFor(code: string, { isTimeout }: { isTimeout: boolean }): string | undefined {
  return isTimeout ? TIMEOUT_HINT : EXPLANATIONS[code]?.hint;
}

/** The circumstances of a failed refresh that its cause doesn't tell. */
export interface FailureContext {
  view: string;
  /**
   * Whether a cancelled statement had reached its time limit. A statement timeout and a cancel share the code
   * 57014.
   */
  isTimeout: boolean;
  /** Whether the failed statement was about the library's own tables, not the view. */
  isOwnStatement: boolean;
  /** The declared indexes of the view. */
  indexes?: readonly string[];
  /** What the failed statement should create: `index "by_day"`. */
  makes?: string;
  /** Whether it was the statement that sets the view's settings. */
  isSetting?: boolean;
}

/** The caller's error for what a refresh threw. */
export function refreshErrorFrom(cause: unknown, context: FailureContext): RefreshError {
  if (cause instanceof RefreshError) {
    return cause;
  }
  const { type: ErrorType, what, hint } = explain(cause, context);
  const index =
    context.indexes?.find((name) => name === (cause as ServerError).constraint) ??
    indexOfView(cause as ServerError, context.view);
  const place = context.makes ?? (index === undefined ? undefined : `index "${index}"`);
  const code = errorCode(cause);
  // A setting is refused because of its value, which the class declares.
  const said = context.isSetting ? originalMessageOf(cause as ServerError) : messageOf(cause);
  return new ErrorType(
    `Could not refresh materialized view "${context.view}": ${what}${place === undefined ? '' : `, in ${place}`} (${code ? `${code}: ` : ''}${said}). The view was not changed.`,
    { view: context.view, hint, cause },
  );
}

/**
 * An index that someone made by hand. PostgreSQL itself reports it: a function can report any name, but no
 * routine.
 */
function indexOfView(
  { schema, table, constraint, code, routine }: Partial<ServerError>,
  view: string,
): string | undefined {
  return code === SqlState.uniqueViolation &&
    routine === '_bt_check_unique' &&
    `${schema}.${table}` === view
    ? constraint
    : undefined;
}

function explain(
  cause: unknown,
  { isTimeout, isOwnStatement, isSetting = false }: FailureContext,
): Explanation {
  const code = errorCode(cause);
  if (code === SqlState.queryCanceled) {
    return isTimeout
      ? {
          type: RefreshTimeoutError,
          what: 'it took longer than statementTimeout',
          hint: TIMEOUT_HINT,
        }
      : { type: RefreshCancelledError, what: 'it was cancelled' };
  }
  if (isConnectionLoss(cause)) {
    return { type: ConnectionFailedError, ...connectionFailure(cause) };
  }
  if (isSetting) {
    return SETTINGS;
  }
  const own = isOwnStatement && code !== undefined ? OWN_EXPLANATIONS[code] : undefined;
  const known = own ?? (code === undefined ? undefined : EXPLANATIONS[code]);
  return known ?? (code?.startsWith(DATA_EXCEPTION_CLASS) ? QUERY_DATA : UNKNOWN);
}

const QUERY_DATA: Explanation = { type: ViewQueryError, what: 'the query of the view failed' };
const UNKNOWN: Explanation = { type: RefreshError, what: 'PostgreSQL refused it' };
