import type { QualifiedName } from '../postgres/identifier.js';
import {
  type GrantJson,
  grantPrivilege,
  PRIVILEGES,
  revokeAll,
} from '../postgres/privilege.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import type { ColumnJson } from '../postgres/view-details.sql.js';

interface Grant extends GrantJson {
  /** `undefined` for a privilege on the whole view. */
  column?: string;
}

/** The privileges on a view (`null` for the owner's default privileges) and on its columns. */
interface Privileges {
  grants: GrantJson[] | null;
  columns: ColumnJson[];
}

/** Gives a view with its owner's default privileges exactly those that it should have. */
export function privilegeStatements(view: QualifiedName, privileges: Privileges): SqlStatement[] {
  return [
    ...(privileges.grants === null ? [] : [revokeAll(view)]),
    ...inOrder(grantsOf(privileges)).given.map((grant) =>
      grantPrivilege(view, grant, grant.column),
    ),
  ];
}

/** The privileges that this session could not restore as they are. */
export function ungrantable(privileges: Privileges): string[] {
  const all = grantsOf(privileges);
  const { left } = inOrder(all);
  return all
    .filter(
      (grant) => !grant.is_in_reach || !PRIVILEGES.has(grant.privilege) || left.includes(grant),
    )
    .map(
      ({ privilege, column, grantee, grantor }) =>
        `privilege ${privilege}${column === undefined ? '' : ` of column "${column}"`} of ${
          grantee === null ? 'PUBLIC' : `role "${grantee}"`
        }${grantor === null ? '' : `, granted by role "${grantor}"`}`,
    );
}

function grantsOf({ grants, columns }: Privileges): Grant[] {
  return [
    ...(grants ?? []),
    ...columns.flatMap(({ name, grants: ofColumn }) =>
      (ofColumn ?? []).map((grant) => ({ ...grant, column: name })),
    ),
  ];
}

/** Each after the one that allows its grantor to grant it. */
function inOrder(grants: Grant[]): { given: Grant[]; left: Grant[] } {
  const given: Grant[] = [];
  const mayBeGiven = (grant: Grant): boolean =>
    grant.grantor === null ||
    given.some(
      ({ grantee, privilege, column, is_grantable }) =>
        is_grantable &&
        grantee === grant.grantor &&
        privilege === grant.privilege &&
        (column === undefined || column === grant.column),
    );
  let left = grants;
  for (let next = left.filter(mayBeGiven); next.length > 0; next = left.filter(mayBeGiven)) {
    given.push(...next);
    left = left.filter((grant) => !next.includes(grant));
  }
  return { given, left };
}
