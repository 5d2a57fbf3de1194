import { namesOf, type QualifiedName } from './identifier.js';
import { RIGHT_TO_ACT, SERVER_VERSION } from './server.sql.js';
import type { SqlStatement } from './sql-statement.js';

/* What will fail later, read from the catalog without a lock. */

export interface ServerFactsRow {
  version: number;
  version_name: string;
  role: string;
  database_name: string;
  max_connections: number;
  /** The connections reserved for superusers and, from PostgreSQL 16 on, for roles that may use them. */
  reserved_connections: number;
  /** Of all databases. */
  used_connections: number;
  /** The settings of the role, the database or both, each with the statement that resets it. */
  settings: { name: string; value: string; reset: string }[] | null;
}

export function selectServerFacts(): SqlStatement {
  return {
    text: `SELECT ${SERVER_VERSION} AS version,
       pg_catalog.current_setting('server_version') AS version_name,
       current_user AS role,
       pg_catalog.current_database() AS database_name,
       pg_catalog.current_setting('max_connections')::int AS max_connections,
       pg_catalog.current_setting('superuser_reserved_connections')::int
         + coalesce(pg_catalog.current_setting('reserved_connections', true)::int, 0) AS reserved_connections,
       (SELECT pg_catalog.sum(s.numbackends)::int FROM pg_catalog.pg_stat_database s) AS used_connections,
       (
         SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                  'name', pg_catalog.split_part(each.setting, '=', 1),
                  'value', pg_catalog.substr(each.setting, pg_catalog.strpos(each.setting, '=') + 1),
                  'reset', CASE
                    WHEN s.setrole = 0::oid THEN pg_catalog.format('ALTER DATABASE %I', d.datname)
                    WHEN s.setdatabase = 0::oid THEN pg_catalog.format('ALTER ROLE %I', r.rolname)
                    ELSE pg_catalog.format('ALTER ROLE %I IN DATABASE %I', r.rolname, d.datname)
                  END || ' RESET ' || pg_catalog.split_part(each.setting, '=', 1)
                ))
         FROM pg_catalog.pg_db_role_setting s
         JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
         JOIN pg_catalog.pg_roles r ON r.rolname = current_user
         CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS each(setting)
         WHERE s.setdatabase IN (0::oid, d.oid) AND s.setrole IN (0::oid, r.oid)
       ) AS settings`,
  };
}

/** Something that stops a refresh, or changes what it finds. */
export type ViewRisk = 'not-owner' | 'no-select' | 'no-execute' | 'row-security' | 'function-path';

export interface ViewRiskRow {
  schema_name: string;
  view_name: string;
  risk: ViewRisk;
  /** The role that it concerns: the one that refreshes, or as which something is read. */
  role: string;
  /** The relation or function, quoted; for `not-owner` the view. */
  subject: string;
  /** The owner of the subject. */
  subject_owner: string;
}

/**
 * The risks of the given views. A refresh reads as the view's owner. Plain views are read as their own owners, unless
 * they have security_invoker; but functions in them are called as the view's owner. Of a whole row the catalog doesn't have
 * the columns: then any column counts. A function whose body the catalog can't read looks names up when it runs, and from
 * PostgreSQL 17 on the search_path of a refresh contains no user schema.
 */
export function selectViewRisks(views: readonly QualifiedName[]): SqlStatement {
  return {
    text: `WITH RECURSIVE target AS (
  SELECT c.oid, c.relowner
  FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS w(schema_name, view_name)
  JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema_name
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.view_name
  WHERE c.relkind = 'm'
), reads AS (
  SELECT t.oid AS view_oid, t.oid AS reader_oid, t.relowner AS role_oid FROM target t
  UNION
  SELECT r.view_oid,
         c.oid,
         CASE
           WHEN coalesce(c.reloptions, '{}') && ARRAY['security_invoker=true', 'security_invoker=on', 'security_invoker=1']
           THEN r.role_oid
           ELSE c.relowner
         END
  FROM reads r
  JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.reader_oid AND w.rulename = '_RETURN'
  JOIN pg_catalog.pg_depend d
    ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    AND d.objid = w.oid
    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.refobjid <> r.reader_oid
  JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.relkind = 'v'
), source AS (
  SELECT DISTINCT r.view_oid, r.role_oid, d.refclassid, d.refobjid, d.refobjsubid
  FROM reads r
  JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.reader_oid AND w.rulename = '_RETURN'
  JOIN pg_catalog.pg_depend d
    ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid AND d.refobjid <> r.reader_oid
  WHERE d.refclassid IN ('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass)
), risk AS (
  SELECT t.oid AS view_oid, 'not-owner' AS risk, u.oid AS role_oid, t.oid::pg_catalog.regclass::text AS subject,
         t.relowner AS subject_owner
  FROM target t
  JOIN pg_catalog.pg_roles u ON u.rolname = current_user
  WHERE NOT pg_catalog.pg_has_role(u.oid, t.relowner, 'USAGE')
    AND NOT CASE
      WHEN ${SERVER_VERSION} >= 170000 THEN pg_catalog.has_table_privilege(u.oid, t.oid, 'MAINTAIN')
      ELSE pg_catalog.pg_has_role(u.oid, t.relowner, ${RIGHT_TO_ACT})
    END
  UNION ALL
  SELECT DISTINCT s.view_oid, 'no-select', s.role_oid, c.oid::pg_catalog.regclass::text, c.relowner
  FROM source s
  JOIN pg_catalog.pg_class c
    ON s.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = s.refobjid
  WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
    AND NOT CASE s.refobjsubid
      WHEN 0 THEN pg_catalog.has_any_column_privilege(s.role_oid, c.oid, 'SELECT')
      ELSE pg_catalog.has_column_privilege(s.role_oid, c.oid, s.refobjsubid::smallint, 'SELECT')
    END
  UNION ALL
  SELECT DISTINCT s.view_oid, 'row-security', s.role_oid, c.oid::pg_catalog.regclass::text, c.relowner
  FROM source s
  JOIN pg_catalog.pg_class c
    ON s.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = s.refobjid
  JOIN pg_catalog.pg_roles u ON u.oid = s.role_oid
  WHERE c.relrowsecurity
    AND NOT u.rolsuper
    AND NOT u.rolbypassrls
    AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(s.role_oid, c.relowner, 'USAGE'))
  UNION ALL
  SELECT DISTINCT t.oid,
         CASE
           WHEN pg_catalog.has_function_privilege(t.relowner, p.oid, 'EXECUTE') THEN 'function-path'
           ELSE 'no-execute'
         END,
         t.relowner,
         p.oid::pg_catalog.regprocedure::text,
         p.proowner
  FROM source s
  JOIN target t ON t.oid = s.view_oid
  JOIN pg_catalog.pg_proc p
    ON s.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = s.refobjid
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  WHERE NOT pg_catalog.has_function_privilege(t.relowner, p.oid, 'EXECUTE')
    OR (
      l.lanname NOT IN ('c', 'internal')
      AND pg_catalog.to_jsonb(p) ->> 'prosqlbody' IS NULL
      AND NOT EXISTS (
        SELECT
        FROM pg_catalog.unnest(p.proconfig) AS g(setting)
        WHERE pg_catalog.starts_with(g.setting, 'search_path=')
      )
    )
)
SELECT n.nspname AS schema_name,
       c.relname AS view_name,
       r.risk,
       pg_catalog.pg_get_userbyid(r.role_oid) AS role,
       r.subject,
       pg_catalog.pg_get_userbyid(r.subject_owner) AS subject_owner
FROM risk r
JOIN pg_catalog.pg_class c ON c.oid = r.view_oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
ORDER BY n.nspname, c.relname, r.risk, r.subject`,
    values: namesOf(views),
  };
}

/** Read on one of the application's connections, with its settings. */
export function selectBackendPid(): SqlStatement {
  return { text: `SELECT pg_catalog.pg_backend_pid() AS backend_pid` };
}
