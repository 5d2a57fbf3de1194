/** One SQL statement: its text, with `$1`-style places, and the values bound to them. */
export interface SqlStatement {
  text: string;
  values?: unknown[];
  /**
   * Whether the text holds several statements. All others are sent so that PostgreSQL refuses a second
   * one: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
   */
  isScript?: boolean;
  /**
   * Whether it has text of the application's, or runs such text: a view's query, an index expression. It is read and
   * run with the application's settings; all others with those of `own-settings.sql.ts`.
   */
  hasApplicationText?: boolean;
  /** What it makes, for what is said of a failure, where the text has another name for it: `index "by_day"`. */
  makes?: string;
}

/** Several statements without values as one: a single round trip. */
export function script(statements: SqlStatement[]): SqlStatement {
  return { text: statements.map(({ text }) => text).join(';\n'), isScript: true };
}
