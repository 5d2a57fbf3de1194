import { errorCode, SqlState } from '../postgres/sqlstate.js';

/** 22xxx: a value that the query cannot handle, such as a division by zero. */
export const DATA_EXCEPTION_CLASS = '22';

/** What an error says, of whatever kind it is. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * What an error of a view's query says, for messages, logs and the history. Values of rows are in the detail as
 * a rule, but in the message itself where a value was the trouble, or where a function of the application speaks.
 */
export function withoutRowData(error: unknown): string {
  const code = errorCode(error);
  const mayHaveRowData =
    code !== SqlState.divisionByZero &&
    (code?.startsWith(DATA_EXCEPTION_CLASS) || code === SqlState.raiseException);
  return mayHaveRowData
    ? 'its text may hold row data, and is in the cause alone'
    : messageOf(error);
}
