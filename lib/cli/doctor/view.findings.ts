import { describeHolder, type LockHolder } from '../../definition/lock-holder.js';
import type { InspectedView } from '../../introspection/inspected-view.js';
import { ADVICE } from '../../postgres/advice.sql.js';
import type { ViewRiskRow } from '../../postgres/doctor.sql.js';
import { rowName } from '../../postgres/identifier.js';
import type { ViewStatus } from '../../status/view-status.js';
import type { Finding } from './finding.js';

/** From this many rows on, the change log counts as long. */
const FULL_LOG_ROWS = 100_000;

/** From this version on, a refresh resolves unqualified names in pg_catalog only. */
const SAFE_PATH_VERSION = 170_000;

/** A view's problems, from its status and its indexes. Pure. */
export function viewFindings(status: ViewStatus, inspected: InspectedView | undefined): Finding[] {
  const { view } = status;
  if (inspected === undefined) {
    const message = 'it is declared but missing from the database.';
    return [{ severity: 'error', code: 'missing', view, message, fix: 'matviews sync' }];
  }
  return [
    ...keyFindings(status, inspected),
    ...invalidIndexes(inspected),
    ...(status.lockedBy ?? []).map((holder) => lockedFinding(view, holder)),
  ];
}

function keyFindings({ view, keyMayHaveNulls }: ViewStatus, inspected: InspectedView): Finding[] {
  const keys = inspected.indexes.filter(({ allowsConcurrently }) => allowsConcurrently);
  if (keys.length === 0) {
    const columns = inspected.columns.map(({ name }) => name);
    return [
      {
        severity: 'warning',
        code: 'no-unique-index',
        view,
        message:
          'it has no unique index that PostgreSQL could refresh it by, so each refresh blocks its readers.',
        fix: `${ADVICE.uniqueIndex(inspected, columns)} -- leave out the columns that the others identify, and declare it with @Index`,
      },
    ];
  }
  return keyMayHaveNulls ? [nullKeys(view, keys.map(({ name }) => name).join(', '))] : [];
}

function nullKeys(view: string, indexes: string): Finding {
  return {
    severity: 'warning',
    code: 'null-keys',
    view,
    message: `there are NULLs in the columns of its unique index (${indexes}): a concurrent refresh deletes and inserts such rows again each time.`,
    fix: `Use coalesce(column, ...) in its query, or leave such rows out: WHERE column IS NOT NULL`,
  };
}

function invalidIndexes({ view, schema, indexes }: InspectedView): Finding[] {
  return indexes
    .filter(({ isValid }) => !isValid)
    .map(({ name }) => ({
      severity: 'warning',
      code: 'invalid-index',
      view,
      message: `its index "${name}" is invalid: building it failed, and no query uses it.`,
      fix: ADVICE.reindex({ schema, name }),
    }));
}

function lockedFinding(view: string, holder: LockHolder): Finding {
  const fix =
    holder.backendPid === undefined
      ? ADVICE.rollbackPrepared(holder.preparedTransaction ?? '')
      : ADVICE.terminate(holder.backendPid);
  return {
    severity: 'error',
    code: 'locked',
    view,
    message: `nobody can refresh it: its lock is held by ${describeHolder(holder)}.`,
    fix,
  };
}

/** A long change log, and the view that has waited longest for what is in it. Pure. */
export function logFindings(statuses: readonly ViewStatus[]): Finding[] {
  const rows = Math.max(0, ...statuses.map(({ changes }) => changes?.logRowCount ?? 0));
  if (rows < FULL_LOG_ROWS) {
    return [];
  }
  const waiting = statuses
    .filter(({ changes }) => changes !== undefined && !changes.isUnchanged)
    .map(({ view }) => view);
  return [
    {
      severity: 'warning',
      code: 'log-full',
      message: `the change log has ${rows} rows: they stay until all views that track them have been refreshed.`,
      fix: `matviews refresh ${waiting.length === 0 ? '--all' : waiting.map(shellQuoted).join(' ')}`,
    },
  ];
}

/** What a refresh may not read, or doesn't find. Pure. */
export function riskFinding(row: ViewRiskRow, version: number, searchPath: string): Finding {
  const view = rowName(row);
  switch (row.risk) {
    case 'not-owner':
      return {
        severity: 'error',
        code: 'not-owner',
        view,
        message: `it belongs to ${row.subject_owner}, and ${row.role} may not refresh it.`,
        fix:
          version >= SAFE_PATH_VERSION
            ? `${ADVICE.grantMaintain(row.subject, row.role)} -- to change it too: ${ADVICE.grantRole(row.subject_owner, row.role)}`
            : ADVICE.grantRole(row.subject_owner, row.role),
      };
    case 'no-select':
      return refused(row, view, `it reads ${row.subject} as ${row.role}, which may not read it.`);
    case 'no-execute':
      return refused(row, view, `it calls ${row.subject} as ${row.role}, which may not call it.`);
    case 'row-security':
      return {
        severity: 'warning',
        code: 'row-security',
        view,
        message: `it reads ${row.subject}, which has row security: the view has only the rows that ${row.role} may see, and shows them to whoever may read the view.`,
        fix: `${ADVICE.bypassRowSecurity(row.role)} -- or leave it, where these rows are meant`,
      };
    case 'function-path':
      return functionPath(row, view, { version, searchPath });
  }
}

function refused({ risk, subject, role }: ViewRiskRow, view: string, message: string): Finding {
  const isFunction = risk === 'no-execute';
  return {
    severity: 'error',
    code: isFunction ? 'no-execute' : 'no-select',
    view,
    message: `${message} Each refresh fails.`,
    fix: isFunction ? ADVICE.grantExecute(subject, role) : ADVICE.grantSelect(subject, role),
  };
}

function functionPath(
  { subject }: ViewRiskRow,
  view: string,
  { version, searchPath }: { version: number; searchPath: string },
): Finding {
  const when =
    version >= SAFE_PATH_VERSION
      ? 'a refresh does not find'
      : 'from PostgreSQL 17 on a refresh does not find';
  return {
    severity: 'warning',
    code: 'function-path',
    view,
    message: `it calls ${subject}, which has no search_path of its own: ${when} what the function names without a schema.`,
    fix: ADVICE.functionPath(subject, searchPath),
  };
}

/** Quotes a name as one word for a shell. */
function shellQuoted(view: string): string {
  return `'${view.replaceAll("'", String.raw`'\''`)}'`;
}
