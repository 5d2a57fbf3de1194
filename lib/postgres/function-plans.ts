/**
 * The limits of a function that is called as one statement in a transaction of its own. To lose its last writes in a crash
 * does no harm. For a body with a pinned search_path.
 */
export const SHORT_WRITE = `PERFORM set_config('lock_timeout', '1s', true), set_config('synchronous_commit', 'off', true);`;

/**
 * The settings of a function that reads the catalog. A session plans it once, and that by the indexes alone: the
 * catalog has as many rows as a database has tables, and without statistics the planner reads it whole. Up to
 * PostgreSQL 17 what is switched off costs so much that it would be compiled.
 */
export const CATALOG_PLANS = `SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off`;
