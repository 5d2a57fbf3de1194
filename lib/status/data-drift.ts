import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { ViewMissingError } from '../errors/refresh.errors.js';
import { StatusError, ViewNotPopulatedError } from '../errors/status.errors.js';
import type { Database } from '../postgres/database.js';
import {
  createDriftFunction,
  type DriftQueryRow,
  type DriftRow,
  type DriftSubjectRow,
  lockAsReader,
  readAsRefresh,
  selectDrift,
  selectDriftOfFunction,
  selectDriftQuery,
  selectDriftSubject,
} from '../postgres/drift.sql.js';
import { quoteIdentifier } from '../postgres/identifier.js';
import { type Session, StandbyRefusal } from '../postgres/session.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { setReadOnly, type TransactionLimits } from '../postgres/transaction.sql.js';

/** The columns of a row's unique key, by their names in the database, in PostgreSQL's text form. */
export type RowKey = Record<string, string | null>;

/** How the rows of a view differ from what its query returns now. */
export interface DataDrift {
  /** As `schema.name`. */
  view: string;
  isDrifted: boolean;
  /** Rows that the query returns and the view doesn't have. A changed row counts as missing and as extra. */
  missingCount: number;
  /** Rows that the view has and the query doesn't return. */
  extraCount: number;
  /**
   * Keys of some of these rows, in order; a changed row is in both lists. Keys are row data. Left out for a view
   * without a unique index that a concurrent refresh could use.
   */
  sample?: { missing: RowKey[]; extra: RowKey[] };
  /** Why there is no sample. */
  sampleReason?: 'no_unique_index';
  /** By the database's clock. */
  checkedAt: Date;
}

/**
 * Compares a view with its query, in a read-only transaction. Acting as the view's owner needs a function that is
 * created before, which a standby refuses.
 */
export async function findDrift(
  database: Database,
  definition: ViewDefinition,
  limits: TransactionLimits,
  sampleSize: number,
): Promise<DataDrift> {
  try {
    return await findDriftIn(database, definition, limits, sampleSize);
  } catch (error) {
    if (!(error instanceof StandbyRefusal)) {
      throw error;
    }
    return findDriftIn(database, definition, { ...limits, isReadOnly: true }, sampleSize);
  }
}

async function findDriftIn(
  database: Database,
  definition: ViewDefinition,
  limits: TransactionLimits,
  sampleSize: number,
): Promise<DataDrift> {
  const { name } = definition;
  const drift = await database.transaction(limits, async (session) => {
    await lock(session, definition);
    await session.query(readAsRefresh());
    const [subject] = await session.query<DriftSubjectRow>(selectDriftSubject(name));
    const populated = requirePopulated(subject, viewName(definition));
    requireRightToAct(populated, viewName(definition));
    const [query] = await session.query<DriftQueryRow>(selectDriftQuery(populated));
    const comparison = selectDrift(
      name,
      { ...populated, definition: query?.definition ?? '' },
      sampleSize,
    );
    return session.undone(() => compare(session, comparison, { ...populated, sampleSize }));
  });
  if (drift === undefined) {
    throw new Error('the comparison gave no row');
  }
  return dataDrift(viewName(definition), drift);
}

/** The query runs as the view's owner, as in a refresh. It can't write. */
async function compare(
  session: Session,
  comparison: SqlStatement,
  { other_owner: owner, sampleSize }: DriftSubjectRow & { sampleSize: number },
): Promise<DriftRow | undefined> {
  if (owner !== null) {
    await session.query(createDriftFunction(comparison, owner));
  }
  await session.query(setReadOnly());
  const [row] = await session.query<DriftRow>(
    owner === null ? comparison : selectDriftOfFunction(sampleSize),
  );
  return row;
}

/** From here on, the view can't be replaced, nor refreshed in a way that blocks readers. */
async function lock(session: Session, definition: ViewDefinition): Promise<void> {
  try {
    await session.query(lockAsReader(definition.name));
  } catch (cause) {
    throw errorCode(cause) === SqlState.undefinedTable
      ? missing(viewName(definition), cause)
      : cause;
  }
}

function requirePopulated(subject: DriftSubjectRow | undefined, view: string): DriftSubjectRow {
  if (subject === undefined) {
    throw missing(view);
  }
  if (!subject.is_populated) {
    throw new ViewNotPopulatedError(
      `Materialized view "${view}" cannot be compared with its query: it has no data yet.`,
      { view, hint: 'Refresh it first.' },
    );
  }
  return subject;
}

/** The view's owner decides what its query calls, so the query must never run with another role's rights. */
function requireRightToAct(
  { other_owner: owner, may_act_as_owner: mayAct }: DriftSubjectRow,
  view: string,
): void {
  if (owner !== null && !mayAct) {
    throw new StatusError(
      `Materialized view "${view}" was not compared with its query: the query runs as the view's owner, and this role may not act as ${quoteIdentifier(owner)}.`,
      {
        view,
        hint: `Make the role a member of the owner: GRANT ${quoteIdentifier(owner)} TO <the role of the data source>.`,
      },
    );
  }
}

function missing(view: string, cause?: unknown): ViewMissingError {
  return new ViewMissingError(`Materialized view "${view}" does not exist in the database.`, {
    view,
    cause,
    hint: 'Was it dropped, renamed or replaced by hand? Booting creates a missing view again.',
  });
}

function dataDrift(view: string, row: DriftRow): DataDrift {
  const { missing_keys: missingKeys, extra_keys: extraKeys } = row;
  return {
    view,
    isDrifted: row.missing_count > 0 || row.extra_count > 0,
    missingCount: row.missing_count,
    extraCount: row.extra_count,
    ...(missingKeys === null || extraKeys === null
      ? { sampleReason: 'no_unique_index' }
      : { sample: { missing: missingKeys, extra: extraKeys } }),
    checkedAt: new Date(row.checked_at),
  };
}
