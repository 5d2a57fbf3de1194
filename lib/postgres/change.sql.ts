import { CATALOG_PLANS } from './function-plans.js';
import { quoteIdentifier } from './identifier.js';
import { epochMs, past, writtenAt } from './instant.js';
import { SNAPSHOT } from './refresh.sql.js';
import { isRefresh } from './rounds.sql.js';
import { sharedState } from './shared-state.sql.js';
import {
  areEqualButForSettings,
  haveSameDefinitions,
  OBSTRUCTED,
  UNSURE,
} from './signature.sql.js';
import { SOURCE_STATE } from './source-state.sql.js';
import { storedFunction } from './stored-function.sql.js';

/* What has changed since a view's last refresh. */

/**
 * The time of a pending change. A change that the view's watermark does not include was committed after the watermark,
 * and nobody could read it before. So its age counts from the watermark, even if the row is older: the row of a long
 * transaction, or one that stands for many and that other views have not seen for longer (see `compactChanges`). A
 * refresh of a view below is different: it brings writes to this view that its readers have missed since they were
 * made.
 */
const MADE_AT = `CASE WHEN ${isRefresh('l')} THEN l.changed_at ELSE greatest(l.changed_at, view.seen_at) END`;

/**
 * The function that says whether a view's sources have changed. A session plans a function once; planned as a
 * statement, the same took 5 ms each time. It is STABLE, so that one call reads everything in one snapshot.
 *
 * The sources are unchanged only if both of these hold:
 *
 * 1. The log has no row that is visible now and was not visible in the watermark. A row is written in the writer's own
 * transaction, so it is committed with the change or not at all. The watermark is taken before the snapshot of the
 * refresh, so the refresh may not have seen what is not visible in the watermark.
 * 2. The signature equals the stored one, and the sources are captured: see `SOURCE_STATE`.
 *
 * Values from before a restore mean nothing. So a watermark or a log row ahead of the current transaction IDs is
 * ignored: no watermark would cover such a row until this server reached that ID.
 */
export const VIEW_CHANGES = storedFunction('view_changes', {
  head: `(wanted_schemas text[], wanted_views text[], has_reach boolean)
RETURNS TABLE (
  schema_name text, view_name text, now float8, pending_since float8, last_change_at float8, is_populated boolean,
  capture jsonb, has_watermark boolean, is_altered boolean, is_captured boolean, is_watched boolean,
  is_unchanged boolean, has_nothing_new boolean, is_unsure boolean, snapshot text, signature text,
  is_signature_stored boolean, are_definitions_stored boolean, last_started_at float8, took_ms float8,
  oid text, relations text[], is_made_by_users boolean, is_lasting boolean
)
LANGUAGE plpgsql
STABLE
${CATALOG_PLANS}`,
  body: (stateSchema) => `
#variable_conflict use_column
DECLARE
  view record;
  sources oid[];
  oldest timestamptz;
  newest timestamptz;
  shared jsonb := ${sharedState(quoteIdentifier(stateSchema))};
BEGIN
  FOR view IN
    SELECT s.schema_name, s.view_name, c.oid, c.relispopulated, s.capture, s.watermark,
           s.last_started_at, s.known_since, ${past('s.last_started_at')} AS seen_at,
           pg_catalog.ltrim(s.source_signature, '${OBSTRUCTED}${UNSURE}') AS remembered,
           coalesce(pg_catalog.starts_with(s.source_signature, '${OBSTRUCTED}'), false) AS is_obstructed,
           coalesce(pg_catalog.starts_with(s.source_signature, '${UNSURE}'), false) AS is_unsure
    FROM ROWS FROM (pg_catalog.unnest(wanted_schemas), pg_catalog.unnest(wanted_views)) AS wanted(schema_name, view_name)
    JOIN ${quoteIdentifier(stateSchema)}.view_state s USING (schema_name, view_name)
    JOIN pg_catalog.pg_namespace n ON n.nspname = s.schema_name
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.view_name AND c.relkind = 'm'
  LOOP
    SELECT state.sources, state.signature, state.is_captured, state.shared, CASE WHEN has_reach THEN state.relations END, state.is_made_by_users
    INTO sources, signature, is_captured, shared, relations, is_made_by_users
    FROM ${quoteIdentifier(stateSchema)}.${SOURCE_STATE.name}(view.oid, view.capture, shared) AS state;
    SELECT min(${MADE_AT}), max(${MADE_AT})
    INTO oldest, newest
    FROM ${quoteIdentifier(stateSchema)}.change_log l
    WHERE l.source = ANY (sources)
      AND l.xid >= coalesce(pg_catalog.pg_snapshot_xmin(view.watermark), '0')
      AND (
        l.xid < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
        OR l.xid = pg_catalog.pg_current_xact_id_if_assigned()
      )
      AND NOT coalesce(pg_catalog.pg_visible_in_snapshot(l.xid, view.watermark), false);
    is_lasting := view.seen_at IS NOT DISTINCT FROM view.last_started_at
      AND coalesce(newest <= pg_catalog.clock_timestamp(), true);
    schema_name := view.schema_name;
    view_name := view.view_name;
    now := ${epochMs('pg_catalog.clock_timestamp()')};
    pending_since := ${epochMs(writtenAt('oldest', 'view'))};
    last_change_at := ${epochMs(writtenAt('newest', 'view'))};
    is_populated := view.relispopulated;
    capture := view.capture;
    is_unsure := view.is_unsure;
    has_watermark := coalesce(
      is_populated
        AND pg_catalog.pg_snapshot_xmax(view.watermark)
              <= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()),
      false
    );
    is_altered := view.capture IS NOT NULL
      AND NOT coalesce(${areEqualButForSettings('view.remembered', 'signature')}, false);
    is_watched := is_captured AND NOT view.is_obstructed AND NOT is_unsure;
    is_signature_stored := coalesce(view.remembered = signature AND is_captured AND NOT view.is_obstructed, false);
    are_definitions_stored := NOT view.is_obstructed AND coalesce(${haveSameDefinitions('view.remembered', 'signature')}, false);
    has_nothing_new := has_watermark AND is_signature_stored AND oldest IS NULL;
    is_unchanged := has_nothing_new AND NOT is_unsure;
    snapshot := ${SNAPSHOT};
    last_started_at := ${epochMs('view.seen_at')};
    oid := view.oid;
    took_ms := extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.statement_timestamp()) * 1000;
    RETURN NEXT;
  END LOOP;
END
`,
});
