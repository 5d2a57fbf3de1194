import type { SqlStatement } from './sql-statement.js';

export interface SignRow {
  /** Which statement it answers. */
  position: number;
  /** These two are the same for all statements of a transaction. */
  backend_pid: number;
  begun_at: string;
}

/** Which statement this is, and in which transaction. */
export function selectSignOf(position: number): SqlStatement {
  return {
    text: `SELECT $1::int AS position,
       pg_catalog.pg_backend_pid() AS backend_pid,
       pg_catalog.transaction_timestamp()::text AS begun_at`,
    values: [position],
  };
}
