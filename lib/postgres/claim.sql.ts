import { SHORT_WRITE } from './function-plans.js';
import { namesOf, type QualifiedName, quoteIdentifier } from './identifier.js';
import { PAST_TICK } from './instant.js';
import { EARLY_TOLERANCE } from './refresh.sql.js';
import type { SqlStatement } from './sql-statement.js';
import { storedFunction } from './stored-function.sql.js';

/**
 * How long a claimed tick is left to the process that claimed it. After that, others may do it if it is not done.
 */
const CLAIM = '10 s';

/** A tick that this process may do, or that is not due yet. One last row stands for all other ticks. */
export interface ClaimRow {
  /** `null` in the last row. */
  schema_name: string | null;
  view_name: string | null;
  /** The milliseconds until it is due, by the database's clock; `null` for a claimed one. */
  due_in_ms: number | null;
  /** In the last row: how many are neither claimed nor done. */
  open_count: number | null;
}

/**
 * Claims ticks that are neither done nor claimed, as many as the process can begin at once. That only saves attempts:
 * whether a tick is done is decided under the refresh lock. A view without a state row can be claimed by every process, and
 * one whose row is locked is left out. The statement is a transaction of its own, so its limits are set here.
 */
export const CLAIM_TICKS = storedFunction('claim_ticks', {
  head: `(wanted_schemas text[], wanted_views text[], ticks timestamptz[], most int)
RETURNS TABLE (schema_name text, view_name text, due_in_ms float8, open_count int)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET jit = off`,
  body: (stateSchema) => {
    const state = `${quoteIdentifier(stateSchema)}.view_state`;
    const open = `FROM ROWS FROM (unnest(wanted_schemas), unnest(wanted_views), unnest(ticks)) AS w(schema_name, view_name, tick)
    JOIN ${state} s ON s.schema_name = w.schema_name AND s.view_name = w.view_name
    WHERE w.tick <= moment + interval '${EARLY_TOLERANCE}'
      AND NOT coalesce(${PAST_TICK} >= w.tick, false)
      AND NOT coalesce(
        s.claimed_tick >= w.tick AND s.claimed_at <= moment AND s.claimed_at > moment - interval '${CLAIM}', false
      )`;
    return `
#variable_conflict use_column
DECLARE
  moment timestamptz := clock_timestamp();
BEGIN
  ${SHORT_WRITE}
  RETURN QUERY
  SELECT w.schema_name, w.view_name,
         CASE WHEN w.tick > moment + interval '${EARLY_TOLERANCE}' THEN 1000 * extract(epoch FROM w.tick - moment)::float8 END,
         NULL::int
  FROM ROWS FROM (unnest(wanted_schemas), unnest(wanted_views), unnest(ticks)) AS w(schema_name, view_name, tick)
  WHERE w.tick > moment + interval '${EARLY_TOLERANCE}'
     OR NOT EXISTS (SELECT FROM ${state} s WHERE s.schema_name = w.schema_name AND s.view_name = w.view_name);
  RETURN QUERY
  WITH claimed AS (
    SELECT s.schema_name, s.view_name, w.tick
    ${open}
    LIMIT most
    FOR UPDATE OF s SKIP LOCKED
  )
  UPDATE ${state} s
  SET claimed_tick = c.tick, claimed_at = moment
  FROM claimed c
  WHERE s.schema_name = c.schema_name AND s.view_name = c.view_name
  RETURNING s.schema_name, s.view_name, NULL::float8, NULL::int;
  RETURN QUERY SELECT NULL::text, NULL::text, NULL::float8, (SELECT count(*)::int ${open});
END
`;
  },
});

export interface WantedTick {
  view: QualifiedName;
  tick: Date;
}

/** @param most the maximum number of claims */
export function claimTicks(
  stateSchema: string,
  wanted: readonly WantedTick[],
  most: number,
): SqlStatement {
  return {
    text: `SELECT * FROM ${quoteIdentifier(stateSchema)}.${CLAIM_TICKS.name}($1, $2, $3, $4)`,
    values: [...namesOf(wanted.map(({ view }) => view)), wanted.map(({ tick }) => tick), most],
  };
}
