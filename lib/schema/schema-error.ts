import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { withoutRowData } from '../errors/error-message.js';
import { MaterializedViewError } from '../errors/materialized-view.error.js';
import { SchemaSyncError, SyncLockTimeoutError } from '../errors/schema.errors.js';
import { errorCode, isConnectionLoss, SqlState } from '../postgres/sqlstate.js';

/** One statement of a plan failed. Internal: callers get what `schemaErrorFrom` makes of it. */
export class SchemaStepError extends Error {
  /** Views that lack a relation: each other, or one that nobody declares. */
  static blocked(errors: SchemaStepError[]): SchemaStepError {
    const [first] = errors;
    const views = errors.flatMap(({ view }) => (view ? [viewName(view)] : []));
    return new SchemaStepError(first?.cause, first?.view, views.slice(1));
  }

  constructor(
    override readonly cause: unknown,
    readonly view?: ViewDefinition,
    /** Other views that fail for the same kind of reason. */
    readonly alsoBlocked: string[] = [],
    /** Whether it was about writing down the changes of tables. */
    readonly isCapture = false,
  ) {
    super(withoutRowData(cause), { cause });
  }
}

const HINTS: Record<string, string> = {
  [SqlState.undefinedTable]:
    'Create the table first (a migration, or `synchronize: true` of TypeORM), or write its schema in front of its name. Views that read each other in a circle lack each other too.',
  [SqlState.insufficientPrivilege]:
    'The role needs CREATE on the schema of the view, SELECT on what it reads and, for a schema that does not exist, CREATE on the database.',
  [SqlState.uniqueViolation]:
    'The query gives the same key of a unique index more than once. The key is in the detail of the cause, which holds row data.',
  [SqlState.lockNotAvailable]:
    'Something is locked for longer than lockTimeout: a long transaction or another migration.',
  [SqlState.outOfMemory]:
    'Where it says "out of shared memory", the transaction needs more locks than the server has room for, one for each table, partition and index: raise max_locks_per_transaction, which takes a restart, or change less at once.',
  [SqlState.objectNotInPrerequisiteState]:
    'A view that it reads was never filled, or emptied: refresh that one first, or give both `withData: false`.',
  [SqlState.queryCanceled]: 'It was cancelled, or took longer than statementTimeout.',
  [SqlState.undefinedFunction]:
    'From PostgreSQL 17 on functions run with a restricted search_path while a view is built: qualify the names inside, or use ALTER FUNCTION ... SET search_path.',
};

/** What a role needs to capture the changes of tables. */
export const OWNERSHIP_HINT =
  'The role must own the tables, or be a member of their owner: only then may it make triggers that always fire. A migration that their owner runs can make them.';

/** The error that the booting application gets. */
export function schemaErrorFrom(error: unknown, stateSchema: string): MaterializedViewError {
  if (error instanceof MaterializedViewError) {
    return error;
  }
  const code = errorCode(error instanceof SchemaStepError ? error.cause : error);
  if (!(error instanceof SchemaStepError) && code === SqlState.lockNotAvailable) {
    return new SyncLockTimeoutError(
      'Another process has been creating materialized views for longer than syncTimeout. Nothing has been changed.',
      { cause: error, hint: 'See which views it builds (pg_stat_activity), or raise syncTimeout.' },
    );
  }
  const said = withoutRowData(error);
  return new SchemaSyncError(
    `Could not make ${subject(error, stateSchema)}: ${code ? `${code}: ` : ''}${said}. ${outcome(error)}`,
    {
      view: error instanceof SchemaStepError && error.view ? viewName(error.view) : undefined,
      hint: hintFor(error, code),
      cause: error instanceof SchemaStepError ? error.cause : error,
    },
  );
}

function hintFor(error: unknown, code: string | undefined): string | undefined {
  const isCapture = error instanceof SchemaStepError && error.isCapture;
  if (isCapture && code === SqlState.insufficientPrivilege) {
    return OWNERSHIP_HINT;
  }
  return code === undefined ? undefined : HINTS[code];
}

function subject(error: unknown, stateSchema: string): string {
  if (!(error instanceof SchemaStepError)) {
    return 'the database as the code declares it';
  }
  if (error.isCapture) {
    return 'the triggers that capture changes of tables';
  }
  if (error.view === undefined) {
    return `a schema, or the library's own tables in schema "${stateSchema}"`;
  }
  const others = error.alsoBlocked.map((name) => `"${name}"`).join(', ');
  return `materialized view "${viewName(error.view)}" of ${error.view.target.name}${others && ` (nor ${others})`}`;
}

function outcome(error: unknown): string {
  return isConnectionLoss(error instanceof SchemaStepError ? error.cause : error)
    ? 'The connection was lost: the next boot finds out what is there.'
    : 'Nothing has been changed.';
}
