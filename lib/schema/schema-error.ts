import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { connectionFailure } from '../errors/connection-failure.js';
import { codeAndMessageOf, messageOf } from '../errors/error-message.js';
import { MaterializedViewError } from '../errors/materialized-view.error.js';
import { SchemaSyncError, SyncLockTimeoutError } from '../errors/schema.errors.js';
import { ConnectFailed, isConnectionLoss, SESSION_LOST } from '../postgres/session-lost.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { OWNERSHIP_HINT } from '../tracking/capture-warnings.js';
import type { PlanStep } from './plan-step.js';

/** What was being done when a statement failed. */
export interface FailedTask {
  /** What follows "Could not": `exchange the views`. */
  task: string;
  view?: ViewDefinition;
  /** Whether it was about tracking changes of tables. */
  isCapture?: boolean;
  /** Whether rows were computed, so that functions were called. */
  computesRows?: boolean;
  /** The hint, if the code doesn't imply one. */
  hint?: string;
  /** Other failures of the same kind. */
  others?: SchemaStepError[];
}

/**
 * One statement of a plan failed. Internal: callers get the error that `schemaErrorFrom` creates.
 */
export class SchemaStepError extends Error {
  constructor(
    override readonly cause: unknown,
    readonly failed: FailedTask,
  ) {
    super(messageOf(cause), { cause });
  }

  get view(): ViewDefinition | undefined {
    return this.failed.view;
  }
}

/** The task of creating a declared view. */
export function makingOf(view: ViewDefinition): FailedTask {
  return { task: `make ${describeDeclared(view)}`, view };
}

/** Joins several failures into one: the first, which also names the others. */
export function together([first, ...others]: SchemaStepError[]): SchemaStepError | undefined {
  return first && new SchemaStepError(first.cause, { ...first.failed, others });
}

/** The task of one step of a plan. */
export function taskOf(step: PlanStep, context: TaskContext): FailedTask {
  return {
    task: describeTask(step, context),
    view: context.view,
    isCapture: step.action === 'capture',
    computesRows: step.action === 'build' || step.action === 'populate',
  };
}

interface TaskContext {
  view: ViewDefinition | undefined;
  stateSchema: string;
  /** What the statement should create, if that is a part of the view. */
  makes: string | undefined;
}

function describeTask(
  { action, view: name, reason }: PlanStep,
  { view, stateSchema, makes }: TaskContext,
): string {
  const subject = view === undefined ? `view "${name}"` : describeDeclared(view);
  switch (action) {
    case 'install':
      return `create the library's own tables in schema "${stateSchema}"`;
    case 'create-schema':
      return `create a schema (${reason})`;
    case 'build':
      return `make ${makes === undefined ? '' : `${makes} of `}${subject}`;
    case 'swap':
      return 'replace the old views by the new ones';
    case 'rename':
      return `rename ${subject} (${reason})`;
    case 'drop':
      return `drop ${subject} (${reason})`;
    case 'record':
      return 'remember which changes views track';
    case 'capture':
      return 'create the triggers that capture changes of tables';
    default:
      return `change ${subject} (${reason})`;
  }
}

function describeDeclared(view: ViewDefinition): string {
  return `${view.kind.noun} "${viewName(view)}" of ${view.target.name}`;
}

const HINTS: Record<string, string> = {
  [SqlState.undefinedTable]:
    "Create the table first (a migration, or `synchronize: true` of TypeORM), or write its schema in front of its name. Views that read each other in a circle can't be created either.",
  [SqlState.insufficientPrivilege]:
    'The role has to own the views that change, and needs CREATE on their schemas, SELECT on what they read and, for a schema that does not exist, CREATE on the database.',
  [SqlState.uniqueViolation]:
    'The query returns the same key of a unique index more than once. The key is in the detail of the cause, which holds row data. An index that no class declares was made by hand: correct the query, or drop the index.',
  [SqlState.dependentObjectsStillExist]:
    'The detail of the cause names what depends on it. Drop that yourself, or change it.',
  [SqlState.lockNotAvailable]:
    'Something is locked for longer than lockTimeout: a long transaction or another migration.',
  [SqlState.outOfMemory]:
    'Where it says "out of shared memory", the transaction needs more locks than the server has room for, one for each table, partition and index: raise max_locks_per_transaction, which takes a restart, or change less at once.',
  [SqlState.objectNotInPrerequisiteState]:
    'A view that it reads was never filled, or emptied: refresh that one first, or give both `withData: false`.',
  [SqlState.protocolViolation]:
    'A pooler in between said this. The library needs one that allows transactions: PgBouncer in transaction or session mode.',
  [SqlState.readOnlyTransaction]:
    'The server is a standby or read-only. To compare definitions, and to change anything, the data source has to be the primary.',
  [SqlState.queryCanceled]: 'It was cancelled, or took longer than statementTimeout.',
  [SqlState.undefinedFunction]:
    'From PostgreSQL 17 on, functions run with a restricted search_path while a view is built: qualify the names in them, or use ALTER FUNCTION ... SET search_path.',
};

/** The error that a boot throws. */
export function schemaErrorFrom(error: unknown): MaterializedViewError {
  if (error instanceof MaterializedViewError) {
    return error;
  }
  const cause = error instanceof SchemaStepError ? error.cause : error;
  const code = errorCode(cause);
  if (!(error instanceof SchemaStepError) && code === SqlState.lockNotAvailable) {
    return new SyncLockTimeoutError(
      'Another process has been creating materialized views for longer than syncTimeout. Nothing has been changed.',
      { cause: error, hint: 'See which views it builds (pg_stat_activity), or raise syncTimeout.' },
    );
  }
  return new SchemaSyncError(`Could not ${describeFailures(error)}. ${outcome(cause)}`, {
    view: error instanceof SchemaStepError && error.view ? viewName(error.view) : undefined,
    hint: isConnectionLoss(cause) ? connectionFailure(cause).hint : hintFor(error, code),
    cause,
  });
}

function describeFailures(error: unknown): string {
  if (!(error instanceof SchemaStepError)) {
    return `bring the database in line with the code: ${describeCause(error)}`;
  }
  const { task, others = [] } = error.failed;
  return [`${task}: ${describeCause(error.cause)}`, ...others.map(describeFailures)].join(
    '; nor could it ',
  );
}

function describeCause(error: unknown): string {
  // A lost connection has no code of PostgreSQL.
  const said = errorCode(error) === SESSION_LOST ? messageOf(error) : codeAndMessageOf(error);
  return isConnectionLoss(error) ? `${connectionFailure(error).what} (${said})` : said;
}

/** What a role needs when no view is concerned. */
const OWN_HINT =
  "The role needs USAGE on the schema `stateSchema`, and SELECT, INSERT, UPDATE and DELETE on the library's tables in it. To create or upgrade them it needs CREATE on that schema and has to own the tables; where a schema does not exist, CREATE on the database.";

/** There is little else that a plain view must not have. */
const CHECK_OPTION_HINT =
  'PostgreSQL allows a check option only on a view that it can write through: over one table or plain view, without DISTINCT, grouping, set operations and the like. A view keeps the one that it has: declare `checkOption: false` to take it away.';

function hintFor(error: unknown, code: string | undefined): string | undefined {
  const { isCapture, computesRows, hint }: Partial<FailedTask> =
    error instanceof SchemaStepError ? error.failed : {};
  if (isCapture && code === SqlState.insufficientPrivilege) {
    return OWNERSHIP_HINT;
  }
  const isOwn = !(error instanceof SchemaStepError && error.view !== undefined);
  if (isOwn && code === SqlState.insufficientPrivilege) {
    return OWN_HINT;
  }
  const isPlain = error instanceof SchemaStepError && error.view?.kind.storesRows === false;
  if (isPlain && code === SqlState.featureNotSupported) {
    return CHECK_OPTION_HINT;
  }
  if (code === undefined || (code === SqlState.undefinedFunction && !computesRows)) {
    return hint;
  }
  return HINTS[code] ?? hint;
}

function outcome(cause: unknown): string {
  return isConnectionLoss(cause) && !(cause instanceof ConnectFailed)
    ? 'The next boot finds out what is there.'
    : 'Nothing has been changed.';
}
