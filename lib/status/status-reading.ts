import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { refreshLockKey, syncLockKey } from '../postgres/advisory-lock.js';
import { type LockHolderRow, selectLockHolders } from '../postgres/advisory-lock.sql.js';
import type { Session } from '../postgres/session.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import {
  selectViewSizes,
  selectViewStatuses,
  type ViewSizeRow,
  type ViewStatusRow,
} from '../postgres/status.sql.js';
import { setLocalLockTimeout } from '../postgres/transaction.sql.js';
import { keyOf, readGraph } from '../refresh/graph-plan.js';
import { outdatedSince, refreshStatus, type ViewStatus } from './view-status.js';
import { readViewChanges } from '../tracking/view-changes.js';

/** A size is not worth waiting longer for a view that has just been locked against readers. */
const SIZE_LOCK_TIMEOUT_MS = 100;

/** What is read apart, where somebody wants to know it. */
interface Extras {
  sizes: readonly ViewSizeRow[];
  holders: readonly LockHolderRow[];
}

/** The status of views in the given order, in a constant number of statements. It waits for nobody. */
export async function readBriefStatuses(
  context: DataSourceContext,
  definitions: readonly ViewDefinition[],
): Promise<ViewStatus[]> {
  return context.database.bookkeeping(async (session) =>
    readWith(session, context, definitions, { sizes: [], holders: [] }),
  );
}

/** The same with sizes, and with who holds the refresh locks, for who waits no longer than `timeoutMs`. */
export async function readStatuses(
  context: DataSourceContext,
  definitions: readonly ViewDefinition[],
  timeoutMs: number,
): Promise<ViewStatus[]> {
  return context.database.reading(timeoutMs, async (session) => {
    const sizes = await readSizes(session, definitions);
    const holders = await session.query<LockHolderRow>(holdersOf(definitions));
    return readWith(session, context, definitions, { sizes, holders });
  });
}

async function readWith(
  session: Session,
  { name: dataSource, database, views: registry, locks }: DataSourceContext,
  definitions: readonly ViewDefinition[],
  { sizes, holders }: Extras,
): Promise<ViewStatus[]> {
  const { stateSchema } = database;
  // All of the data source: readers of a view may miss what those below it have not seen.
  const below = await readViewsBelow(session, definitions, registry.all());
  const views = [...new Set([...definitions, ...[...below.values()].flat()])];
  const statement = selectViewStatuses(
    stateSchema,
    views.map(({ name }) => name),
    { withLog: views.some(({ freshness }) => freshness !== undefined) },
  );
  const read = await session.query<ViewStatusRow>(statement);
  const rows = new Map(read.map((row, position) => [views[position], row]));
  const [{ log_row_count: rowCount = 0, log_bytes: byteCount = 0 } = {}] = read;
  const changes = await readViewChanges(session, stateSchema, views, { rowCount, byteCount });
  const outdated = (view: ViewDefinition): number[] => {
    const row = rows.get(view);
    return row?.is_populated ? outdatedSince(view, row, changes.get(view)) : [];
  };
  return definitions.flatMap((definition, position) => {
    const row = rows.get(definition);
    const extras = {
      dataSource,
      sizeBytes: sizes[position]?.size_bytes ?? undefined,
      changes: changes.get(definition),
      holders: holders
        .filter(({ key }) => key === refreshLockKey(definition.name))
        .map((each) => locks.holderOf(each)),
      outdatedBelow: (below.get(definition) ?? []).flatMap(outdated),
    };
    return row === undefined ? [] : [refreshStatus(definition, row, extras)];
  });
}

/** For each of the views with `maxStaleness` the registered ones below it: one statement, or none. */
async function readViewsBelow(
  session: Session,
  definitions: readonly ViewDefinition[],
  registered: readonly ViewDefinition[],
): Promise<Map<ViewDefinition, ViewDefinition[]>> {
  const limited = definitions.filter(({ freshness }) => freshness?.maxStalenessMs !== undefined);
  if (limited.length === 0) {
    return new Map();
  }
  const graph = await readGraph(session, registered);
  const dependencies = graph.among(new Set(registered.map(keyOf)));
  return new Map(
    limited.map((view) => {
      const below = dependencies.get(keyOf(view));
      return [view, registered.filter((each) => below?.has(keyOf(each)))];
    }),
  );
}

function holdersOf(definitions: readonly ViewDefinition[]): SqlStatement {
  return selectLockHolders(
    definitions.map(({ name }) => refreshLockKey(name)),
    syncLockKey(),
  );
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
