import { quoteIdentifier } from './identifier.js';
import { epochMs } from './instant.js';
import type { SqlStatement } from './sql-statement.js';

/* How the log of changes stays small. */

/** The kind of the rows that stand for many. */
const COMPACTED = 'COMPACTED';

export interface DeletedChangesRow {
  deleted_count: number;
}

/**
 * Deletes changes that every view has seen: those below the xmin of all watermarks. A watermark that is
 * being written meanwhile is not below the one that it replaces. A view that has none yet may be getting
 * its first, and holds all back. One that is not there does not count: when it is made again, its signature differs.
 * A lock that is passed over leaves its row for the next time.
 */
export function deleteSeenChanges(stateSchema: string, batchSize: number): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  return {
    text: `WITH readers AS (
  SELECT s.watermark
  FROM ${schema}.view_state s
  JOIN pg_catalog.pg_namespace n ON n.nspname = s.schema_name
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.view_name
  WHERE s.capture IS NOT NULL
), deleted AS (
  DELETE FROM ${schema}.change_log
  WHERE ctid = ANY (ARRAY(
    SELECT l.ctid
    FROM ${schema}.change_log l
    WHERE NOT EXISTS (
      SELECT
      FROM readers r
      WHERE r.watermark IS NULL OR l.xid >= pg_catalog.pg_snapshot_xmin(r.watermark)
    )
    LIMIT $1
    FOR UPDATE SKIP LOCKED
  ))
  RETURNING source
)
SELECT count(*)::int AS deleted_count FROM deleted`,
    values: [batchSize],
  };
}

/**
 * Puts two rows in the place of the many of one source: while a refresh is paused or fails, nobody sees
 * them off. Nothing is lost, whatever the watermarks are: the new rows carry this transaction's ID, and no
 * watermark that was taken before it ends has seen that. So a view that had not seen one of the old rows has
 * not seen the new ones either, and one that had seen them all is refreshed once more for nothing.
 * Uncommitted rows are not visible here and stay. To be run after `deleteSeenChanges`. Two rows, for the times of the oldest and the newest change.
 *
 * @param limit how many rows a source may have
 */
export function compactChanges(stateSchema: string, limit: number): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  return {
    text: `WITH crowded AS (
  SELECT source
  FROM ${schema}.change_log
  GROUP BY source
  HAVING count(*) > greatest($1::bigint, 2)
), gone AS (
  DELETE FROM ${schema}.change_log l
  USING crowded c
  WHERE l.source = c.source
  RETURNING l.source, l.changed_at
)
INSERT INTO ${schema}.change_log (source, kind, changed_at)
SELECT g.source, '${COMPACTED}', t.changed_at
FROM (SELECT source, min(changed_at) AS oldest, max(changed_at) AS newest FROM gone GROUP BY source) AS g
CROSS JOIN LATERAL (VALUES (g.oldest), (g.newest)) AS t(changed_at)
RETURNING source::text AS source`,
    values: [limit],
  };
}

/** How much the log holds at the moment. */
export interface ChangeLogSizeRow {
  row_count: number;
  /** With indexes, in bytes. */
  byte_count: number;
  /** Milliseconds since the epoch. */
  oldest_at: number | null;
}

export function selectChangeLogSize(stateSchema: string): SqlStatement {
  const log = `${quoteIdentifier(stateSchema)}.change_log`;
  return {
    text: `SELECT count(*)::float8 AS row_count,
       pg_catalog.pg_total_relation_size($1::pg_catalog.regclass)::float8 AS byte_count,
       ${epochMs('min(changed_at)')} AS oldest_at
FROM ${log}`,
    values: [log],
  };
}
