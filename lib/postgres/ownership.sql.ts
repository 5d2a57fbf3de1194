import type { SqlStatement } from './sql-statement.js';

/** A role that owns something in the state schema and that this role has no reason to trust. */
export interface StrangerRow {
  owner: string;
  /** One of the objects that it owns, as PostgreSQL describes it: "schema materialized_views". */
  description: string;
  /** Whether this role is a superuser, with whose rights the other's code would run. */
  is_superuser: boolean;
  /** Who this role is. */
  role: string;
}

/**
 * What other roles own of the state schema: the schema itself, and relations and functions in it. The current role and
 * the roles that it is a member of don't count, nor do superusers and the owner of the database, who have other ways.
 * Memberships are read from the catalog, because a superuser counts as a member of every role. Nothing in the schema is
 * used.
 */
export function selectStrangers(stateSchema: string): SqlStatement {
  return {
    text: `WITH RECURSIVE mine AS (
  SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
  UNION
  SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN mine ON mine.oid = m.member
), trusted AS (
  SELECT mine.oid FROM mine
  UNION ALL
  SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolsuper OR r.rolname = 'pg_database_owner'
  UNION ALL
  SELECT d.datdba FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
), owned AS (
  SELECT n.nspowner AS owner, 'pg_catalog.pg_namespace'::pg_catalog.regclass::oid AS catalog, n.oid, 0 AS position
  FROM pg_catalog.pg_namespace n
  WHERE n.nspname = $1
  UNION ALL
  SELECT c.relowner, 'pg_catalog.pg_class'::pg_catalog.regclass::oid, c.oid, 1
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relkind <> 't'
  UNION ALL
  SELECT p.proowner, 'pg_catalog.pg_proc'::pg_catalog.regclass::oid, p.oid, 2
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE n.nspname = $1
)
SELECT pg_catalog.pg_get_userbyid(o.owner) AS owner,
       pg_catalog.pg_describe_object(o.catalog, o.oid, 0) AS description,
       (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) AS is_superuser,
       current_user::text AS role
FROM owned o
WHERE o.owner NOT IN (SELECT t.oid FROM trusted t)
ORDER BY o.position, o.oid
LIMIT 1`,
    values: [stateSchema],
  };
}
