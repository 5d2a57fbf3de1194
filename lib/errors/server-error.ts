import { errorCode, FIXED_TEXT_CODES, isServerError, SqlState } from '../postgres/sqlstate.js';
import { conditionName } from './condition-names.js';

/**
 * The fields of PostgreSQL's answer, as pg has them:
 * https://www.postgresql.org/docs/current/protocol-error-fields.html
 */
export interface ServerError extends Error {
  code: string;
  originalMessage?: string;
  position?: string;
  internalPosition?: string;
  internalQuery?: string;
  where?: string;
  routine?: string;
  schema?: string;
  table?: string;
  constraint?: string;
}

/** Functions of PostgreSQL whose messages name an object in the catalog, and nothing else. */
const NAMING_ROUTINES: Readonly<Record<string, readonly string[]>> = {
  [SqlState.insufficientPrivilege]: ['aclcheck_error', 'aclcheck_error_col'],
  [SqlState.objectNotInPrerequisiteState]: ['ExecOpenScanRelation'],
  [SqlState.dependentObjectsStillExist]: ['reportDependentObjects'],
  [SqlState.uniqueViolation]: [
    '_bt_check_unique',
    'comparetup_index_btree',
    'comparetup_index_btree_tiebreak',
  ],
};

/**
 * Whether the text of an error can't hold row data. Any error from a function can: with any code, and in the names of a
 * statement that it built. PostgreSQL gives such an error a context (`where`). A text without a context isn't safe
 * either: a value that is cast to regclass is named like a missing table.
 */
export function isKnownSafe(error: ServerError): boolean {
  if ((error.where ?? error.internalQuery ?? error.internalPosition) !== undefined) {
    return false;
  }
  if (isOfPooler(error)) {
    return true;
  }
  // It has a position in the statement that was sent, so what it names comes from there, not from
  // rows.
  if (error.position !== undefined) {
    return true;
  }
  const isNaming = NAMING_ROUTINES[error.code]?.includes(error.routine ?? '') ?? false;
  return FIXED_TEXT_CODES.has(error.code) || isNaming;
}

/**
 * PostgreSQL says which of its functions raised an error. A pooler names none, and has not read any row.
 */
function isOfPooler({ code, routine }: Partial<ServerError>): boolean {
  return code?.startsWith('08') === true && routine === undefined;
}

/** Replaces a text that may hold row data. */
export function meaningOf(sqlState: string | undefined): string {
  const name = conditionName(sqlState ?? '') ?? 'an error that PostgreSQL has no name for';
  return `${name} (PostgreSQL's text may hold row data, and is only in the cause)`;
}

/** PostgreSQL's own text, hidden or not. */
export function originalMessageOf(error: ServerError): string {
  return error.originalMessage ?? error.message;
}

/** The properties that hold no row data. */
const SHOWN: ReadonlySet<string> = new Set([
  'name',
  'length',
  'severity',
  'code',
  'position',
  'file',
  'line',
  'routine',
]);

/**
 * Keeps row data out of a printed error and its causes, whatever the logger. All of it can still be read by name:
 * `detail`, `where` and the like, and PostgreSQL's text as `originalMessage`.
 */
export function hideRowData(error: unknown): void {
  const seen = new Set<unknown>();
  for (let each = error; each instanceof Error && !seen.has(each); each = each.cause) {
    seen.add(each);
    if (isServerError(each)) {
      hide(each as ServerError);
    }
  }
}

function hide(error: ServerError): void {
  for (const name of Object.keys(error).filter((each) => !SHOWN.has(each))) {
    // Not Object.defineProperty, which would throw for a frozen error.
    Reflect.defineProperty(error, name, { enumerable: false });
  }
  if (isKnownSafe(error) || error.originalMessage !== undefined) {
    return;
  }
  const { message, stack = '' } = error;
  const shown = meaningOf(errorCode(error));
  const hidden = {
    originalMessage: message,
    message: shown,
    stack: replaced(stack, message, shown),
  };
  for (const [name, value] of Object.entries(hidden)) {
    Reflect.defineProperty(error, name, {
      value,
      enumerable: false,
      configurable: true,
      writable: true,
    });
  }
}

function replaced(stack: string, message: string, shown: string): string {
  return message === '' ? stack : stack.replaceAll(message, () => shown);
}
