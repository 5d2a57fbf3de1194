import { quoteIdentifier } from './identifier.js';
import type { SqlStatement } from './sql-statement.js';

/* How the change log stays small. After `followIndex`, none of these statements gets slower as the log grows. */

/** The `kind` of a row that stands for many others. */
const COMPACTED = 'COMPACTED';

/** The greatest xid8: if no view tracks changes, all changes count as seen. */
const NO_XMIN = '18446744073709551615';

export interface DeletedChangesRow {
  deleted_count: number;
}

/**
 * Deletes changes that every view has seen: those below the xmin of all watermarks. A watermark that is being written
 * meanwhile does no harm, because it is never below the one that it replaces. A view without a watermark may be
 * getting its first one right now, so nothing is deleted. A view that doesn't exist doesn't count: when it is created
 * again, its signature differs.
 */
export function deleteSeenChanges(stateSchema: string, batchSize: number): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  return {
    text: `WITH RECURSIVE ${loggedSources(schema)}, readers AS (
  SELECT pg_catalog.pg_snapshot_xmin(s.watermark) AS xmin
  FROM ${schema}.view_state s
  JOIN pg_catalog.pg_namespace n ON n.nspname = s.schema_name
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.view_name
  WHERE s.capture IS NOT NULL
  UNION ALL
  SELECT '${NO_XMIN}'
), deleted AS (
  DELETE FROM ${schema}.change_log
  WHERE ctid = ANY (ARRAY(
    SELECT seen.ctid
    FROM sources s
    CROSS JOIN LATERAL (
      SELECT l.ctid
      FROM ${schema}.change_log l
      WHERE l.source = s.source
        AND l.xid < (SELECT r.xmin FROM readers r ORDER BY r.xmin NULLS FIRST LIMIT 1)
      ORDER BY l.xid
      LIMIT $1
    ) AS seen
    LIMIT $1
  ))
  RETURNING source
)
SELECT count(*)::int AS deleted_count FROM deleted`,
    values: [batchSize],
  };
}

/**
 * Makes the transaction scan indexes. A table that has grown overnight has no statistics yet, so the planner would
 * read and sort all of it. `jit` is off, because a disabled sort gets such a high cost that the planner would
 * compile the statement.
 */
export function followIndex(): SqlStatement {
  return {
    text: `SELECT pg_catalog.set_config('enable_sort', 'off', true), pg_catalog.set_config('jit', 'off', true)`,
  };
}

/** A source that has too many rows in the log. */
export interface CrowdedSourceRow {
  source: string;
}

/** @param limit how many rows a source may have */
export function selectCrowdedSources(stateSchema: string, limit: number): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  return {
    text: `WITH RECURSIVE ${loggedSources(schema)}
SELECT s.source::text AS source
FROM sources s
WHERE EXISTS (
  SELECT
  FROM ${schema}.change_log l
  WHERE l.source = s.source
  ORDER BY l.xid
  OFFSET $1
  LIMIT 1
)`,
    values: [limit],
  };
}

/** The result of one batch of a compaction. */
export interface CompactedRow {
  compacted_count: number;
  /**
   * The newest transaction among the compacted rows, where the next batch continues; `null` for none.
   */
  last_xid: string | null;
}

/**
 * Replaces many rows of one source by two, beginning with the oldest. It is for views that are paused or failing: as
 * long as they have not seen the rows, the rows can't be deleted.
 *
 * Nothing is lost, whatever the watermarks are. The new rows carry this transaction's ID. A watermark taken before
 * this transaction ends does not include it; one taken later belongs to a refresh that sees the changes themselves.
 * So a view that had not seen one of the old rows has not seen the new ones either. A view that had seen all of them
 * gets one unnecessary refresh. Old and new rows are exchanged in one transaction. Uncommitted rows are not visible
 * here, and stay.
 *
 * The two rows have the times of the oldest and of the newest change. They are the source's newest rows, so a
 * compaction that continues from `last_xid` finally compacts the rows of its own batches too.
 *
 * @param fromXid the oldest transaction to read, so that index entries of deleted rows are not scanned again
 */
export function compactChanges(
  stateSchema: string,
  { source, fromXid, batchSize }: { source: string; fromXid: string; batchSize: number },
): SqlStatement {
  const log = `${quoteIdentifier(stateSchema)}.change_log`;
  return {
    text: `WITH batch AS MATERIALIZED (
  SELECT l.ctid
  FROM ${log} l
  WHERE l.source = $1::oid AND l.xid >= $2::xid8
  ORDER BY l.xid
  LIMIT $3
), gone AS (
  DELETE FROM ${log}
  WHERE ctid = ANY (ARRAY(SELECT batch.ctid FROM batch))
    AND (SELECT count(*) FROM batch) > 2
  RETURNING xid, changed_at
), kept AS (
  INSERT INTO ${log} (source, kind, changed_at)
  SELECT $1::oid, '${COMPACTED}', t.changed_at
  FROM (SELECT min(changed_at) AS oldest, max(changed_at) AS newest FROM gone) AS g
  CROSS JOIN LATERAL (VALUES (g.oldest), (g.newest)) AS t(changed_at)
  WHERE t.changed_at IS NOT NULL
)
SELECT count(*)::int AS compacted_count,
       (SELECT gone.xid::text FROM gone ORDER BY gone.xid DESC LIMIT 1) AS last_xid
FROM gone`,
    values: [source, fromXid, batchSize],
  };
}

/** The sources that have rows in the log, each found by one index lookup. It must follow WITH RECURSIVE. */
export function loggedSources(quotedSchema: string): string {
  const next = (after: string): string =>
    `(SELECT l.source FROM ${quotedSchema}.change_log l ${after} ORDER BY l.source LIMIT 1)`;
  return `found(source) AS (
  SELECT ${next('')}
  UNION ALL
  SELECT ${next('WHERE l.source > found.source')}
  FROM found
  WHERE found.source IS NOT NULL
), sources AS (
  SELECT found.source FROM found WHERE found.source IS NOT NULL
)`;
}
