import { PoolStopped } from '../postgres/connection-pool.js';
import { AnswerTimeout } from '../postgres/time-limit.js';
import { isConnectionLoss } from '../postgres/session-lost.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { connectionFailure } from './connection-failure.js';
import { messageOf } from './error-message.js';
import { MaterializedViewError } from './materialized-view.error.js';
import { OWN_TABLES_HINT } from './own-tables-hint.js';
import { StatusError } from './status.errors.js';

interface Explanation {
  what: string;
  hint?: string;
}

const DAMAGED: Explanation = {
  what: 'something that it needs is missing from the database',
  hint: `Are the library's own tables there, in the schema \`stateSchema\`? ${OWN_TABLES_HINT}`,
};

/** By SQLSTATE, never by message: messages are translated and change. */
const EXPLANATIONS: Record<string, Explanation> = {
  [SqlState.undefinedTable]: DAMAGED,
  [SqlState.undefinedFunction]: DAMAGED,
  [SqlState.undefinedColumn]: DAMAGED,
  [SqlState.invalidSchemaName]: DAMAGED,
  [SqlState.insufficientPrivilege]: {
    what: 'a privilege is missing',
    hint: "The role needs USAGE on `stateSchema` and SELECT on its tables; to look for drift the view's owner needs SELECT on the view and on all that it reads, and TEMP on the database, as the role does where it is not the owner.",
  },
  [SqlState.readOnlyTransaction]: {
    what: 'the server is a standby or read-only, and it has to write for this',
    hint: 'Point the data source at the primary. Acting as the owner of a view means creating a function.',
  },
  [SqlState.lockNotAvailable]: {
    what: 'something that it reads stayed locked for too long',
    hint: 'A blocking refresh or a schema change holds up every reader while it runs: try again after it, or raise lockTimeout.',
  },
  [SqlState.queryCanceled]: {
    what: 'it took too long, or was cancelled',
    hint: "Looking for drift runs the view's query, for at most statementTimeout.",
  },
};

const SILENT: Explanation = {
  what: 'the database did not answer in time',
  hint: 'Is it reachable, or overloaded? To wait longer, pass `timeout`.',
};
const STOPPING: Explanation = { what: 'the application is stopping' };
const UNKNOWN: Explanation = { what: 'PostgreSQL refused it' };

/**
 * The caller's error for what reading threw.
 *
 * @param attempt what failed, as in "read the history"
 */
export function statusErrorFrom(
  cause: unknown,
  attempt: string,
  view?: string,
): MaterializedViewError {
  if (cause instanceof MaterializedViewError) {
    return cause;
  }
  const code = errorCode(cause);
  const { what, hint } = explain(cause, code);
  const said = messageOf(cause);
  const of = view === undefined ? '' : ` of materialized view "${view}"`;
  return new StatusError(
    `Could not ${attempt}${of}: ${what} (${code ? `${code}: ` : ''}${said}).`,
    { view, hint, cause },
  );
}

function explain(cause: unknown, code: string | undefined): Explanation {
  if (cause instanceof PoolStopped) {
    return STOPPING;
  }
  if (cause instanceof AnswerTimeout) {
    return SILENT;
  }
  const known = code === undefined ? undefined : EXPLANATIONS[code];
  return isConnectionLoss(cause) ? connectionFailure(cause) : (known ?? UNKNOWN);
}
