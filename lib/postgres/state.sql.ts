import { type QualifiedName, quoteIdentifier } from './identifier.js';
import type { SqlStatement } from './sql-statement.js';

export interface KnownViewRow {
  schema_name: string;
  view_name: string;
}

/** Which of the given views have a state row. */
export function selectKnownViews(stateSchema: string, views: QualifiedName[]): SqlStatement {
  return {
    text: `SELECT s.schema_name, s.view_name
FROM ${quoteIdentifier(stateSchema)}.view_state s
JOIN ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS wanted(schema_name, view_name)
  USING (schema_name, view_name)`,
    values: [views.map((view) => view.schema), views.map((view) => view.name)],
  };
}

/**
 * Makes the state row of a view that the library has not known before. What the past ticks of a
 * populated view would have brought is there already, so only ticks from now on count; an
 * unpopulated view has no last tick and is due at once.
 */
export function insertKnownView(
  stateSchema: string,
  view: QualifiedName,
  isPopulated: boolean,
): SqlStatement {
  return {
    text: `INSERT INTO ${quoteIdentifier(stateSchema)}.view_state (schema_name, view_name, last_tick)
VALUES ($1, $2, CASE WHEN $3 THEN pg_catalog.clock_timestamp() END)
ON CONFLICT (schema_name, view_name) DO NOTHING`,
    values: [view.schema, view.name, isPopulated],
  };
}

/** Where a view's schedule stands, by the database's clock. */
export interface ScheduleStateRow {
  schema_name: string;
  view_name: string;
  now: Date;
  last_tick: Date | null;
  is_backing_off: boolean | null;
}

/** The schedule state of all given views in one query; a view without a state row has no last tick. */
export function selectScheduleStates(stateSchema: string, views: QualifiedName[]): SqlStatement {
  return {
    text: `SELECT wanted.schema_name,
       wanted.view_name,
       pg_catalog.clock_timestamp() AS now,
       s.last_tick,
       s.not_before > pg_catalog.clock_timestamp() AS is_backing_off
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS wanted(schema_name, view_name)
LEFT JOIN ${quoteIdentifier(stateSchema)}.view_state s USING (schema_name, view_name)`,
    values: [views.map((view) => view.schema), views.map((view) => view.name)],
  };
}
