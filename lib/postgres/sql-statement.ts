/** One SQL statement: its text, with `$1`-style placeholders, and the values bound to them. */
export interface SqlStatement {
  text: string;
  values?: unknown[];
  /**
   * Whether the text holds several statements. All others are sent so that PostgreSQL refuses a second
   * one: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY
   */
  isScript?: boolean;
  /**
   * Whether it contains or runs the application's text: a view's query, an index expression. Such statements are
   * parsed and run with the application's settings; all others with those of `own-settings.sql.ts`.
   */
  hasApplicationText?: boolean;
  /** What it creates, for messages about a failure, if the text has another name for it: `index "by_day"`. */
  makes?: string;
}

/** Joins several statements without values into one, for a single round trip. */
export function script(statements: SqlStatement[]): SqlStatement {
  return { text: statements.map(({ text }) => text).join(';\n'), isScript: true };
}
