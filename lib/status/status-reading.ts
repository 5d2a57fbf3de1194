import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { refreshLockKey, syncLockKey } from '../postgres/advisory-lock.js';
import type { Session } from '../postgres/session.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import {
  selectViewSizes,
  selectViewStatuses,
  type ViewSizeRow,
  type ViewStatusRow,
} from '../postgres/status.sql.js';
import { selectSurroundings, type SurroundingsRow } from '../postgres/surroundings.sql.js';
import { setLocalLockTimeout } from '../postgres/transaction.sql.js';
import { type JobReading, readJobs } from './job-status.js';
import { graphOf, keyOf } from '../refresh/graph-plan.js';
import { outdatedSince, refreshStatus, type ViewStatus } from './view-status.js';
import { readViewChanges } from '../tracking/view-changes.js';

/** Reading a size is not worth a longer wait for a view that was just locked against readers. */
const SIZE_LOCK_TIMEOUT_MS = 100;

/** What is read separately, if requested. */
interface Extras {
  sizes: readonly ViewSizeRow[];
  surroundings: SurroundingsRow;
  jobs: ReadonlyMap<ViewDefinition, JobReading>;
}

/**
 * The status of views in the given order, in a constant number of statements. It never waits for a
 * lock.
 */
export async function readBriefStatuses(
  context: DataSourceContext,
  definitions: readonly ViewDefinition[],
): Promise<ViewStatus[]> {
  return context.database.bookkeeping(async (session) => {
    const surroundings = await readSurroundings(session, definitions, []);
    return readWith(session, context, definitions, { sizes: [], surroundings, jobs: new Map() });
  });
}

/**
 * The same with sizes and with the holders of the refresh locks, for callers that wait no longer than
 * `timeoutMs`.
 */
export async function readStatuses(
  context: DataSourceContext,
  definitions: readonly ViewDefinition[],
  timeoutMs: number,
): Promise<ViewStatus[]> {
  return context.database.reading(timeoutMs, async (session) => {
    const sizes = await readSizes(session, definitions);
    const keys = definitions.map(({ name }) => refreshLockKey(name));
    const surroundings = await readSurroundings(session, definitions, keys);
    const jobs = await readJobs(session, context.database.stateSchema, definitions);
    return readWith(session, context, definitions, { sizes, surroundings, jobs });
  });
}

async function readWith(
  session: Session,
  { name: dataSource, database, views: registry, locks }: DataSourceContext,
  definitions: readonly ViewDefinition[],
  { sizes, surroundings, jobs }: Extras,
): Promise<ViewStatus[]> {
  const { stateSchema } = database;
  // All views of the data source: what the views below have not seen is missing from a view's rows.
  const below = viewsBelow(definitions, registry.all(), surroundings);
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
      indexSizeBytes: sizes[position]?.index_bytes ?? undefined,
      jobs: jobs.get(definition),
      changes: changes.get(definition),
      holders: surroundings.holders
        .filter(({ key }) => key === refreshLockKey(definition.name))
        .map((each) => locks.holderOf(each)),
      outdatedBelow: (below.get(definition) ?? []).flatMap(outdated),
    };
    return row === undefined ? [] : [refreshStatus(definition, row, extras)];
  });
}

function hasLimit({ freshness }: ViewDefinition): boolean {
  return freshness?.maxStalenessMs !== undefined;
}

/** Who holds the locks and, if a view has `maxStaleness`, what reads what: one statement, or none. */
async function readSurroundings(
  session: Session,
  definitions: readonly ViewDefinition[],
  keys: string[],
): Promise<SurroundingsRow> {
  const withEdges = definitions.some(hasLimit);
  const [row] =
    keys.length === 0 && !withEdges
      ? []
      : await session.query<SurroundingsRow>(
          selectSurroundings(keys, syncLockKey(), { withEdges }),
        );
  return row ?? { holders: [], edges: [] };
}

/** For each view with `maxStaleness`, the registered views below it. */
function viewsBelow(
  definitions: readonly ViewDefinition[],
  registered: readonly ViewDefinition[],
  { edges }: SurroundingsRow,
): Map<ViewDefinition, ViewDefinition[]> {
  const limited = definitions.filter(hasLimit);
  if (limited.length === 0) {
    return new Map();
  }
  const graph = graphOf(edges, registered);
  const dependencies = graph.among(new Set(registered.map(keyOf)));
  return new Map(
    limited.map((view) => {
      const below = dependencies.get(keyOf(view));
      return [view, registered.filter((each) => below?.has(keyOf(each)))];
    }),
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
