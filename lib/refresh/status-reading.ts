import type { ViewDefinition } from '../definition/view-definition.js';
import { refreshLockKey } from '../postgres/advisory-lock.js';
import type { Database } from '../postgres/database.js';
import type { Session } from '../postgres/session.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import {
  type LockedName,
  selectViewSizes,
  selectViewStatuses,
  type ViewSizeRow,
  type ViewStatusRow,
} from '../postgres/status.sql.js';
import { setLocalLockTimeout, setReadOnly } from '../postgres/transaction.sql.js';
import { readViewChanges } from './view-changes.js';
import { refreshStatus, type ViewRefreshStatus } from './refresh-status.js';

/** A size is not worth waiting longer for a view that has just been locked against readers. */
const SIZE_LOCK_TIMEOUT_MS = 100;

/** The same in one statement, which waits for nobody. */
export async function readStatusesWithoutSizes(
  database: Database,
  definitions: readonly ViewDefinition[],
): Promise<ViewRefreshStatus[]> {
  const statement = selectViewStatuses(database.stateSchema, namesOf(definitions));
  const rows = await database.bookkeeping((session) => session.query<ViewStatusRow>(statement));
  return definitions.flatMap((definition, position) => {
    const row = rows[position];
    return row === undefined ? [] : [refreshStatus(definition, row, {})];
  });
}

/** The status of views of one database, in the given order, in a constant number of statements. */
export async function readStatuses(
  database: Database,
  definitions: readonly ViewDefinition[],
): Promise<ViewRefreshStatus[]> {
  const names = namesOf(definitions);
  return database.bookkeeping(async (session) => {
    await session.query(setReadOnly());
    const rows = await session.query<ViewStatusRow>(
      selectViewStatuses(database.stateSchema, names),
    );
    const sizes = await readSizes(session, definitions);
    const changes = await readViewChanges(session, database.stateSchema, definitions);
    return definitions.flatMap((definition, position) => {
      const row = rows[position];
      return row === undefined
        ? []
        : [
            refreshStatus(definition, row, {
              sizeBytes: sizes[position]?.size_bytes ?? undefined,
              changes: changes.get(definition),
            }),
          ];
    });
  });
}

function namesOf(definitions: readonly ViewDefinition[]): LockedName[] {
  return definitions.map(({ name }) => ({ ...name, lockKey: refreshLockKey(name) }));
}

async function readSizes(
  session: Session,
  definitions: readonly ViewDefinition[],
): Promise<ViewSizeRow[]> {
  try {
    return await session.attempt(async () => {
      await session.query(setLocalLockTimeout(SIZE_LOCK_TIMEOUT_MS));
      return session.query<ViewSizeRow>(selectViewSizes(definitions.map(({ name }) => name)));
    });
  } catch (error) {
    if (errorCode(error) === SqlState.lockNotAvailable) {
      return [];
    }
    throw error;
  }
}
