/**
 * The limits of a function that is called as one statement in its own transaction. Losing its last writes in a crash does
 * no harm. For a body with a pinned search_path.
 */
export const SHORT_WRITE = `PERFORM set_config('lock_timeout', '1s', true), set_config('synchronous_commit', 'off', true);`;

/**
 * The settings of a function that reads the catalog. A session plans it once, and by indexes only: the catalog
 * grows with the number of tables, and without statistics the planner reads all of it. `jit` is off because up
 * to PostgreSQL 17 a disabled scan gets such a high cost that the function would be compiled.
 */
export const CATALOG_PLANS = `SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off`;
