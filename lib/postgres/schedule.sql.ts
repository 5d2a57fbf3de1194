import { namesOf, type QualifiedName, quoteIdentifier } from './identifier.js';
import { epochMs, IS_BACKING_OFF, PAST_TICK } from './instant.js';
import type { SqlStatement } from './sql-statement.js';

/** The state of a view's schedule, by the database's clock. */
export interface ScheduleStateRow {
  schema_name: string;
  view_name: string;
  /** Milliseconds since the epoch. */
  now: number;
  /** Milliseconds since the epoch; `null` also if it is ahead of the clock. */
  last_tick: number | null;
  is_backing_off: boolean | null;
  is_paused: boolean;
}

/** The schedule state of all given views in one query; a view without a state row has no last tick. */
export function selectScheduleStates(stateSchema: string, views: QualifiedName[]): SqlStatement {
  return {
    text: `SELECT wanted.schema_name,
       wanted.view_name,
       ${epochMs('pg_catalog.clock_timestamp()')} AS now,
       ${epochMs(PAST_TICK)} AS last_tick,
       ${IS_BACKING_OFF} AS is_backing_off,
       s.paused_at IS NOT NULL AS is_paused
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS wanted(schema_name, view_name)
LEFT JOIN ${quoteIdentifier(stateSchema)}.view_state s USING (schema_name, view_name)`,
    values: namesOf(views),
  };
}
