import { type LockHolderRow, selectLockHolders } from './advisory-lock.sql.js';
import { selectViewEdges, type ViewEdgeRow } from './graph.sql.js';
import type { SqlStatement } from './sql-statement.js';

/** What surrounds the views of a data source, in one row. */
export interface SurroundingsRow {
  /** Who holds which of the locks now. */
  holders: LockHolderRow[];
  /** Which views read which; empty unless requested. */
  edges: ViewEdgeRow[];
}

/** Who holds the given locks and, if requested, which views read which: one statement for both. */
export function selectSurroundings(
  keys: string[],
  schemaKey: string,
  { withEdges }: { withEdges: boolean },
): SqlStatement {
  const { text, values } = selectLockHolders(keys, schemaKey);
  return {
    text: `SELECT ${rowsOf(text)} AS holders,
       ${withEdges ? rowsOf(selectViewEdges().text) : `'[]'::json`} AS edges`,
    values,
  };
}

function rowsOf(query: string): string {
  return `(
  SELECT coalesce(pg_catalog.json_agg(pg_catalog.row_to_json(found)), '[]'::json)
  FROM (${query}) AS found
)`;
}
