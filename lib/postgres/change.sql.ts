import { CAPTURE_FUNCTIONS, CAPTURE_TRIGGER_COUNT } from './capture.sql.js';
import { type QualifiedName, quoteIdentifier } from './identifier.js';
import { epochMs } from './instant.js';
import { rootsOfView, SETTINGS, SOURCES_OF_VIEW } from './source.sql.js';
import type { SqlStatement } from './sql-statement.js';

/* What has changed since a view was refreshed. */

export interface ChangeRow {
  /** True only where nothing that the view reads can have changed since its watermark. */
  is_unchanged: boolean;
  /** When the oldest change was written that the view has not seen; `null` for none. Milliseconds since the epoch. */
  pending_since: number | null;
  /** The same of the newest. */
  last_change_at: number | null;
  /** To be stored with the watermark by a refresh that starts now; `null` when nothing can be told from it. */
  signature: string | null;
}

/**
 * Whether a view's sources have changed. Two things must agree.
 *
 * The log has no row that is visible now and was not visible in the watermark. It is written in the
 * writer's own transaction, so it is committed with the change or not at all, and the watermark is taken before
 * the refresh's snapshot: what it has not seen, the refresh may not have seen.
 *
 * The signature is the remembered one. It has what changes rows, or what a view makes of them, without a
 * write that a trigger sees: the rows of the catalog, by their versions (xmin), of the relations, their
 * columns, their rules and the library's triggers. So it differs also after a trigger was switched off and
 * on again. xmin of a materialized view's row in pg_class differs after every refresh of it, by whomever.
 * It is null, and nothing equals that, where a source is no captured table.
 *
 * A watermark from another cluster, or from before a restore of this one, means nothing: hence the system's
 * identifier, and no watermark from the future.
 */
export function selectChanges(stateSchema: string, view: QualifiedName): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  return {
    text: `WITH RECURSIVE ${rootsOfView(stateSchema, '$1', '$2')}, ${SOURCES_OF_VIEW}, triggers AS (
  SELECT t.tgrelid,
         count(*) FILTER (WHERE t.tgenabled = 'A') AS firing_count,
         pg_catalog.string_agg(pg_catalog.concat_ws('.', t.oid, t.xmin, p.xmin), ',' ORDER BY t.oid) AS versions
  FROM pg_catalog.pg_trigger t
  JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
  WHERE t.tgrelid IN (SELECT oid FROM sources)
    AND p.pronamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $3)
    AND p.proname IN (${CAPTURE_FUNCTIONS.map((name) => `'${name}'`).join(', ')})
  GROUP BY t.tgrelid
), relations AS (
  SELECT c.oid,
         (c.relkind = 'm' OR c.relkind IN ('r', 'p') AND t.firing_count = ${CAPTURE_TRIGGER_COUNT})
           AND c.relpersistence = 'p'
           AND NOT c.relrowsecurity
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_subscription_rel u WHERE u.srrelid = c.oid) AS is_watched,
         pg_catalog.concat_ws('.', c.oid, c.relfilenode, c.xmin, t.versions, (
           SELECT pg_catalog.string_agg(a.xmin::text, ',' ORDER BY a.attnum)
           FROM pg_catalog.pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0
         )) AS version
  FROM (SELECT DISTINCT oid FROM sources) AS s
  LEFT JOIN pg_catalog.pg_class c ON c.oid = s.oid
  LEFT JOIN triggers t ON t.tgrelid = c.oid
), rules AS (
  SELECT w.oid, pg_catalog.concat_ws('.', w.ev_class, w.oid, w.xmin, (
           SELECT pg_catalog.string_agg(pg_catalog.concat_ws('.', p.oid, p.xmin), ',' ORDER BY p.oid)
           FROM pg_catalog.pg_depend d
           JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
           WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
             AND d.objid = w.oid
             AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
         )) AS version
  FROM pg_catalog.pg_rewrite w
  WHERE w.ev_class IN (SELECT view_oid FROM state UNION SELECT oid FROM reads WHERE is_walked)
), signature AS (
  SELECT CASE WHEN (SELECT pg_catalog.bool_and(coalesce(is_watched, false)) FROM relations)
                AND NOT EXISTS (SELECT FROM roots WHERE oid IS NULL)
         THEN pg_catalog.md5(pg_catalog.concat_ws('|',
                (SELECT system_identifier FROM pg_catalog.pg_control_system()),
                (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
                (SELECT pg_catalog.string_agg(version, ';' ORDER BY oid) FROM relations),
                (SELECT pg_catalog.string_agg(version, ';' ORDER BY oid) FROM rules),
                (SELECT pg_catalog.concat_ws('.', count(*), sum(e.xmin::text::bigint)) FROM pg_catalog.pg_enum e),
                ${SETTINGS.map((name) => `pg_catalog.current_setting('${name}')`).join(',\n                ')}
              ))
         END AS value
), unseen AS (
  SELECT min(l.changed_at) AS oldest, max(l.changed_at) AS newest
  FROM state s
  JOIN ${schema}.change_log l
    ON l.source = ANY (ARRAY(SELECT oid FROM sources))
   AND l.xid >= pg_catalog.pg_snapshot_xmin(s.watermark)
   AND NOT pg_catalog.pg_visible_in_snapshot(l.xid, s.watermark)
)
SELECT coalesce(
         unseen.oldest IS NULL
           AND s.relispopulated
           AND s.source_signature = signature.value
           AND pg_catalog.pg_snapshot_xmax(s.watermark)
                 <= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()),
         false
       ) AS is_unchanged,
       ${epochMs('unseen.oldest')} AS pending_since,
       ${epochMs('unseen.newest')} AS last_change_at,
       signature.value AS signature
FROM signature
CROSS JOIN unseen
LEFT JOIN state s ON true`,
    values: [view.schema, view.name, stateSchema],
  };
}

/** The kind of a change that a refresh is, beside TG_OP of the triggers. */
const REFRESH = 'REFRESH';

/**
 * Tells the readers of a view that it has been refreshed, in the transaction of the refresh. Triggers
 * cannot: materialized views have none.
 */
export function appendRefreshSignal(stateSchema: string, view: QualifiedName): SqlStatement {
  return {
    text: `INSERT INTO ${quoteIdentifier(stateSchema)}.change_log (source, kind)
SELECT c.oid, '${REFRESH}'
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2`,
    values: [view.schema, view.name],
  };
}
