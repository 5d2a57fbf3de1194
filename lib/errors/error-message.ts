import { errorCode, isServerError } from '../postgres/sqlstate.js';
import { isKnownSafe, meaningOf, originalMessageOf, type ServerError } from './server-error.js';

/** 22xxx: a value that the query cannot handle, such as a division by zero. */
export const DATA_EXCEPTION_CLASS = '22';

/**
 * The text of an error for messages, logs and the history: PostgreSQL's own text only if it can't hold row data,
 * otherwise the meaning of its SQLSTATE.
 */
export function messageOf(error: unknown): string {
  if (!isServerError(error)) {
    return wordsOf(error);
  }
  const server = error as ServerError;
  return isKnownSafe(server) ? originalMessageOf(server) : meaningOf(errorCode(server));
}

/**
 * For anything that may be thrown: what comes from a loader's thread may not be an error and may have
 * no text.
 */
function wordsOf(error: unknown): string {
  const { message } = (error ?? {}) as { message?: unknown };
  if (typeof message === 'string') {
    return message;
  }
  return typeof error === 'object' && error !== null ? 'it has no message' : String(error);
}

/** The same with its code, as in `40P01: deadlock detected`. */
export function codeAndMessageOf(error: unknown): string {
  const code = errorCode(error);
  return code === undefined ? messageOf(error) : `${code}: ${messageOf(error)}`;
}
