import { loggedSources } from './change-log.sql.js';
import { CATALOG_PLANS } from './function-plans.js';
import { namesOf, type QualifiedName, quoteIdentifier } from './identifier.js';
import { epochMs, IS_BACKING_OFF } from './instant.js';
import { madeByUsers, sharedState } from './shared-state.sql.js';
import { digestOf, hashOfVersion } from './signature.sql.js';
import type { SqlStatement } from './sql-statement.js';
import { storedFunction } from './stored-function.sql.js';

/* Whether the last answers of `view_changes` are still valid. */

/** Versions of everything that the answers of `view_changes` depend on. */
export interface LookRow {
  /** Milliseconds since the epoch. */
  now: number;
  /** What is visible now. */
  snapshot: string;
  /** What is the same for all views. */
  common: string;
  /** Functions, types and operators that users created; `null` if not asked for. */
  made_by_users: string | null;
  /** The versions of the views' state rows, in order, between spaces; `-` for none, and for a view that is paused or backs off. */
  states: string;
  /** OIDs of relations, each with its version, between spaces. */
  versions: string;
  /** The OIDs of tables and views of which the log has rows that were not visible before, between spaces. */
  logged: string;
  /** For how long the server has been looking, in milliseconds. */
  took_ms: number;
}

export interface LookQuestion {
  views: readonly QualifiedName[];
  /** The OIDs of the views with a remembered answer. */
  viewOids: readonly string[];
  /** The OIDs of what these read. */
  relations: readonly string[];
  isMadeByUsersWanted: boolean;
  /** The snapshot of the look before; `null` for none. */
  since: string | null;
}

/** What `source_state` reads of one relation: the rows of these catalogs. Of a view itself it reads two of them. */
const CATALOGS = [
  ['class', 'oid', '(view_oids || relations)'],
  ['rewrite', 'ev_class', '(view_oids || relations)'],
  ['attribute', 'attrelid', '(relations) AND r.attnum > 0'],
  ['trigger', 'tgrelid', '(relations)'],
  ['inherits', 'inhrelid', '(relations)'],
  ['inherits', 'inhparent', '(relations)'],
  ['subscription_rel', 'srrelid', '(relations)'],
] as const;

const VERSIONS = CATALOGS.map(
  ([catalog, oid, wanted]) =>
    `SELECT r.${oid} AS oid, ${hashOfVersion('r')} AS version FROM pg_catalog.pg_${catalog} r WHERE r.${oid} = ANY ${wanted}`,
).join('\n    UNION ALL ');

/**
 * The function that reads all these versions: a few index entries for each view, while `view_changes` runs about ten
 * statements. No version comes back after a change (see `digestOf`). So if all are the same as before, and the log has no
 * new row of a source, the answer is the same.
 *
 * The start time of the server is included because another server that took over may have used the same transaction IDs
 * for other transactions.
 */
export const LOOK_STATE = storedFunction('look_state', {
  head: `(
  schemas text[], names text[], view_oids oid[], relations oid[], since pg_snapshot, wants_made_by_users boolean,
  OUT now float8, OUT snapshot text, OUT common text, OUT made_by_users text,
  OUT states text, OUT versions text, OUT logged text, OUT took_ms float8
)
LANGUAGE plpgsql
STABLE
${CATALOG_PLANS}`,
  body: (stateSchema) => `
BEGIN
  now := ${epochMs('pg_catalog.clock_timestamp()')};
  snapshot := pg_catalog.pg_current_snapshot();
  common := pg_catalog.concat_ws('|',
    ${sharedState(quoteIdentifier(stateSchema))},
    ${digestOf('pg_namespace n', 'n')},
    ${epochMs('pg_catalog.pg_postmaster_start_time()')}
  );
  IF wants_made_by_users THEN
    made_by_users := ${madeByUsers(quoteIdentifier(stateSchema))};
  END IF;
  SELECT coalesce(pg_catalog.string_agg(
    CASE WHEN s.paused_at IS NOT NULL OR ${IS_BACKING_OFF} THEN '-' ELSE coalesce(s.xmin::text, '-') END,
    ' ' ORDER BY wanted.position
  ), '')
  INTO states
  FROM ROWS FROM (pg_catalog.unnest(schemas), pg_catalog.unnest(names)) WITH ORDINALITY
    AS wanted(schema_name, view_name, position)
  LEFT JOIN ${quoteIdentifier(stateSchema)}.view_state s USING (schema_name, view_name);
  SELECT coalesce(pg_catalog.string_agg(pg_catalog.concat_ws(' ', found.oid, found.version), ' '), '')
  INTO versions
  FROM (
    SELECT part.oid, sum(part.version) AS version
    FROM (
    ${VERSIONS}
    ) AS part
    GROUP BY part.oid
  ) AS found;
  WITH RECURSIVE ${loggedSources(quoteIdentifier(stateSchema))}
  SELECT coalesce(pg_catalog.string_agg(s.source::text, ' '), '')
  INTO logged
  FROM sources s
  WHERE EXISTS (
    SELECT
    FROM ${quoteIdentifier(stateSchema)}.change_log l
    WHERE l.source = s.source
      AND l.xid >= pg_catalog.pg_snapshot_xmin(since)
      AND l.xid < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
      AND NOT pg_catalog.pg_visible_in_snapshot(l.xid, since)
  );
  took_ms := extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.statement_timestamp()) * 1000;
END
`,
});

/** Versions of what was found out at the look before. */
export function selectLook(
  stateSchema: string,
  { views, viewOids, relations, since, isMadeByUsersWanted }: LookQuestion,
): SqlStatement {
  return {
    text: `SELECT * FROM ${quoteIdentifier(stateSchema)}.${LOOK_STATE.name}($1::text[], $2::text[], $3::oid[], $4::oid[], $5::pg_snapshot, $6)`,
    values: [...namesOf(views), viewOids, relations, since, isMadeByUsersWanted],
  };
}
