import type { TestDatabase } from './test-database.js';

/** Leaves out options named `pg_…`: some minor releases store one there, with a different number for each relation. */
const SOMEBODYS = (options: string): string =>
  `(SELECT array_agg(o ORDER BY o) FROM unnest(${options}) o WHERE NOT starts_with(o, 'pg_'))`;

/**
 * Everything that the catalog stores about views, except what differs after a view is dropped and created unchanged: OIDs
 * and rows. Doesn't use the library's own catalog queries.
 */
export async function catalog(database: TestDatabase): Promise<Record<string, unknown>> {
  const views = await database.query(`
    SELECT c.oid::regclass::text AS name, c.relkind, pg_get_userbyid(c.relowner) AS owner,
           pg_get_viewdef(c.oid) AS definition, c.relispopulated, ${SOMEBODYS('c.reloptions')} AS reloptions,
           (SELECT spcname FROM pg_tablespace t WHERE t.oid = c.reltablespace) AS tablespace,
           (SELECT amname FROM pg_am WHERE pg_am.oid = c.relam) AS method,
           obj_description(c.oid, 'pg_class') AS comment,
           (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(c.relacl) a) AS acl
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE relkind IN ('m', 'v') AND nspname NOT IN ('pg_catalog', 'information_schema', 'materialized_views')
    ORDER BY 1`);
  const columns = await database.query(`
    SELECT attrelid::regclass::text AS view, attname, format_type(atttypid, atttypmod) AS type,
           coalesce(attstattarget, -1) AS statistics, attstorage,
           ${SOMEBODYS('attoptions')} AS attoptions,
           col_description(attrelid, attnum) AS comment,
           (SELECT array_agg(a::text ORDER BY a::text) FROM unnest(attacl) a) AS acl
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind IN ('m', 'v') AND attnum > 0 AND nspname NOT IN ('pg_catalog', 'information_schema')
    ORDER BY 1, attnum`);
  const indexes = await database.query(`
    SELECT i.indrelid::regclass::text AS view, pg_get_indexdef(i.indexrelid) AS definition,
           i.indisclustered, obj_description(i.indexrelid, 'pg_class') AS comment,
           (SELECT spcname FROM pg_tablespace t WHERE t.oid = ic.reltablespace) AS tablespace,
           (SELECT array_agg(coalesce(attstattarget, -1) ORDER BY attnum) FROM pg_attribute WHERE attrelid = i.indexrelid) AS statistics
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class ic ON ic.oid = i.indexrelid
    WHERE c.relkind = 'm'
    ORDER BY 1, 2`);
  const statistics = await database.query(`
    SELECT pg_get_statisticsobjdef(oid) AS definition, pg_get_userbyid(stxowner) AS owner,
           obj_description(oid, 'pg_statistic_ext') AS comment,
           coalesce((to_jsonb(s) ->> 'stxstattarget')::int, -1) AS target
    FROM pg_statistic_ext s ORDER BY 1`);
  return { views, columns, indexes, statistics };
}
