import { escapeLiteral } from 'pg';
import { type QualifiedName, quoteIdentifier, quoteQualifiedName } from './identifier.js';
import { RIGHT_TO_ACT } from './server.sql.js';
import type { SqlStatement } from './sql-statement.js';

/*
 * The privileges on a view. The catalog has NULL (the owner's default privileges), an empty list, or a list. No statement
 * turns a list into NULL, so a view that should have NULL must start with it, and ALTER DEFAULT PRIVILEGES decides
 * whether it does. The default privileges may be others when a migration runs, so these are DO blocks that look.
 */

/** One privilege of one role; `grantee` is `null` for PUBLIC. */
export interface GrantJson {
  grantee: string | null;
  /** Who granted it; `null` for the owner. */
  grantor: string | null;
  privilege: string;
  is_grantable: boolean;
  /** Whether this session can grant it as its grantor. */
  is_in_reach: boolean;
}

/** The privileges on a relation `c` of a schema `n` as JSON; `null` if the catalog has NULL. */
export function grantsJson(acl: string): string {
  return `CASE WHEN ${acl} IS NOT NULL THEN coalesce((
         SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                  'grantee', CASE WHEN g.grantee <> 0::oid THEN pg_catalog.pg_get_userbyid(g.grantee) END,
                  'grantor', CASE WHEN g.grantor <> c.relowner THEN pg_catalog.pg_get_userbyid(g.grantor) END,
                  'privilege', g.privilege_type,
                  'is_grantable', g.is_grantable,
                  'is_in_reach', g.grantor = c.relowner OR ${IS_IN_REACH}
                ))
         FROM pg_catalog.aclexplode(${acl}) g
       ), '[]') END`;
}

/** A grant by a role with the owner's rights counts as a grant by the owner. */
const IS_IN_REACH = `(
           pg_catalog.pg_has_role(session_user, g.grantor, ${RIGHT_TO_ACT})
           AND NOT pg_catalog.pg_has_role(g.grantor, c.relowner, 'USAGE')
           AND pg_catalog.has_schema_privilege(g.grantor, n.oid, 'USAGE')
         )`;

/** Revokes all privileges on a view from every role, including its owner. */
export function revokeAll(view: QualifiedName): SqlStatement {
  return block(
    ['grantee record'],
    `  FOR grantee IN
    SELECT DISTINCT CASE WHEN g.grantee = 0::oid THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) END AS name
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) AS g
    WHERE n.nspname = ${escapeLiteral(view.schema)} AND c.relname = ${escapeLiteral(view.name)}
  LOOP
    EXECUTE ${escapeLiteral(`REVOKE ALL ON ${quoteQualifiedName(view)} FROM `)} || grantee.name;
  END LOOP;`,
  );
}

/** @param column for a privilege on one column alone */
export function grantPrivilege(
  view: QualifiedName,
  grant: GrantJson,
  column?: string,
): SqlStatement {
  const columns = column === undefined ? '' : ` (${quoteIdentifier(column)})`;
  const option = grant.is_grantable ? ' WITH GRANT OPTION' : '';
  const grantee = grant.grantee === null ? 'PUBLIC' : quoteIdentifier(grant.grantee);
  const text = `GRANT ${grant.privilege}${columns} ON ${quoteQualifiedName(view)} TO ${grantee}${option}`;
  return grant.grantor === null ? { text } : inTheNameOf(grant.grantor, text);
}

/** GRANTED BY accepts only the current role. */
function inTheNameOf(role: string, text: string): SqlStatement {
  return block(
    [`before text := pg_catalog.current_setting('role')`],
    `  PERFORM pg_catalog.set_config('role', ${escapeLiteral(role)}, true);
  EXECUTE ${escapeLiteral(text)};
  PERFORM pg_catalog.set_config('role', before, true);`,
  );
}

/** A keyword can't be quoted, so only these are written. */
export const PRIVILEGES: ReadonlySet<string> = new Set([
  'SELECT',
  'INSERT',
  'UPDATE',
  'DELETE',
  'TRUNCATE',
  'REFERENCES',
  'TRIGGER',
  'MAINTAIN',
]);

/** The setting that keeps the default privileges meanwhile. */
const KEPT = 'nestjs_materialized_views.default_privileges';

/**
 * The statements around one that creates a view, so that default privileges grant nothing on it. Default privileges
 * change for this transaction only, and only if there are some.
 */
export function withoutDefaultPrivileges(
  { schema }: QualifiedName,
  create: SqlStatement,
): SqlStatement[] {
  return [suspendDefaultPrivileges(schema), create, restoreDefaultPrivileges()];
}

/** How often they are read and changed again if another transaction has changed them meanwhile. */
const SUSPENSIONS = 10;

/**
 * Two transactions that do this change the same catalog rows: one waits for the other, fails, and reads again. It takes no
 * advisory lock, because anyone could hold that.
 */
function suspendDefaultPrivileges(schema: string): SqlStatement {
  return block(
    ['entry record', 'grantee text', 'attempt int := 0'],
    `  PERFORM pg_catalog.set_config('${KEPT}', '[]', true);
  WHILE EXISTS (SELECT FROM (${defaultPrivileges(schema)}) AS entries) LOOP
    BEGIN
      PERFORM pg_catalog.set_config('${KEPT}', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object('scope', e.scope, 'acl', e.acl::text))::text FROM (${defaultPrivileges(schema)}) AS e
      ), true);
      FOR entry IN ${defaultPrivileges(schema)} LOOP
        FOR grantee IN SELECT DISTINCT ${GRANTEE} FROM pg_catalog.aclexplode(entry.acl) AS g LOOP
          EXECUTE pg_catalog.format('ALTER DEFAULT PRIVILEGES %sREVOKE ALL ON TABLES FROM %s', entry.scope, grantee);
        END LOOP;
        IF entry.scope = '' THEN
          EXECUTE pg_catalog.format('ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO %I', current_user);
        END IF;
      END LOOP;
      RETURN;
    EXCEPTION WHEN internal_error OR unique_violation THEN
      attempt := attempt + 1;
      IF attempt = ${SUSPENSIONS} THEN
        RAISE;
      END IF;
    END;
  END LOOP;`,
  );
}

function restoreDefaultPrivileges(): SqlStatement {
  return block(
    ['entry record', 'granted record'],
    `  FOR entry IN
    SELECT e.scope, e.acl
    FROM pg_catalog.json_to_recordset(pg_catalog.current_setting('${KEPT}')::pg_catalog.json) AS e(scope text, acl text)
  LOOP
    IF entry.scope = '' THEN
      EXECUTE pg_catalog.format('ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM %I', current_user);
    END IF;
    -- An empty list cannot be taken apart once it was text.
    CONTINUE WHEN entry.acl = '{}';
    FOR granted IN SELECT ${GRANTEE} AS grantee, g.* FROM pg_catalog.aclexplode(entry.acl::pg_catalog.aclitem[]) AS g LOOP
      EXECUTE pg_catalog.format('ALTER DEFAULT PRIVILEGES %sGRANT %s ON TABLES TO %s%s', entry.scope, granted.privilege_type,
        granted.grantee, CASE WHEN granted.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
  END LOOP;`,
  );
}

const GRANTEE = `CASE WHEN g.grantee = 0::oid THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) END`;

/** The current role's default privileges that apply to relations of a schema. */
function defaultPrivileges(schema: string): string {
  return `SELECT CASE WHEN n.oid IS NULL THEN '' ELSE pg_catalog.format('IN SCHEMA %I ', n.nspname) END AS scope, a.defaclacl AS acl
    FROM pg_catalog.pg_default_acl a
    JOIN pg_catalog.pg_roles r ON r.oid = a.defaclrole
    LEFT JOIN pg_catalog.pg_namespace n ON n.oid = a.defaclnamespace
    WHERE r.rolname = current_user AND a.defaclobjtype = 'r'
      AND (a.defaclnamespace = 0::oid OR n.nspname = ${escapeLiteral(schema)})
    ORDER BY scope`;
}

function block(declarations: string[], body: string): SqlStatement {
  const text = `\nDECLARE\n${declarations.map((each) => `  ${each};`).join('\n')}\nBEGIN\n${body}\nEND\n`;
  return { text: `DO ${escapeLiteral(text)}` };
}
