/** One SQL statement: its text, with `$1`-style places, and the values bound to them. */
export interface SqlStatement {
  text: string;
  values?: unknown[];
}
