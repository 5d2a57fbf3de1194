import type { DataSourceContext } from '../definition/data-source.context.js';
import { statusErrorFrom } from '../errors/status-error.factory.js';
import { displayName } from '../postgres/identifier.js';
import {
  type CatalogEdgeRow,
  type InspectedColumnJson,
  type InspectedIndexRow,
  type InspectedViewRow,
  selectCatalogEdges,
  selectInspectedIndexes,
  selectInspectedViews,
} from '../postgres/introspection.sql.js';
import type { Session } from '../postgres/session.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { setLocalLockTimeout } from '../postgres/transaction.sql.js';
import { CatalogGraph, declaredKeys, nameKey } from './catalog-graph.js';
import type { InspectedColumn, InspectedIndex, InspectedView } from './inspected-view.js';

/**
 * Definitions and sizes are not worth a longer wait for a relation that was just locked against
 * readers.
 */
const LOCK_TIMEOUT_MS = 100;

/**
 * While another session swaps views, PostgreSQL's functions find some gone (XX000), or the sessions deadlock.
 */
const PASSING: ReadonlySet<string | undefined> = new Set([
  SqlState.internalError,
  SqlState.deadlockDetected,
  SqlState.lockNotAvailable,
]);

interface CatalogRows {
  views: InspectedViewRow[];
  indexes: InspectedIndexRow[];
  edges: CatalogEdgeRow[];
}

/**
 * Reads what the catalog says about all views, in a constant number of statements. It changes nothing and reads no rows.
 */
export class CatalogInspector {
  constructor(private readonly context: DataSourceContext) {}

  /**
   * The views of the database, or of one schema, each after everything that it reads.
   *
   * @throws StatusError if they can't be read within `timeoutMs`
   */
  async inspect(schema: string | undefined, timeoutMs: number): Promise<InspectedView[]> {
    const { database, name } = this.context;
    try {
      const rows = await database.reading(timeoutMs, (session) =>
        readCatalog(session, schema ?? null),
      );
      return this.viewsOf(rows);
    } catch (cause) {
      throw statusErrorFrom(cause, `read the catalog of data source "${name}"`);
    }
  }

  private viewsOf({ views, indexes, edges }: CatalogRows): InspectedView[] {
    const definitions = this.context.views.all();
    const graph = new CatalogGraph(views, edges, definitions);
    const declared = declaredKeys(definitions);
    const indexesOf = byView(indexes);
    return graph.ordered().map((row) => {
      const name = { schema: row.schema_name, name: row.view_name };
      return {
        dataSource: this.context.name,
        view: displayName(name),
        ...name,
        kind: row.relation_kind === 'm' ? 'materialized-view' : 'view',
        isManaged: declared.has(nameKey(name)),
        owner: row.owner,
        comment: row.comment ?? undefined,
        definition: row.definition ?? undefined,
        columns: (row.columns ?? []).map(columnOf),
        isPopulated: row.is_populated,
        sizeBytes: row.size_bytes ?? undefined,
        rowCountEstimate: row.row_count_estimate ?? undefined,
        indexes: (indexesOf.get(row.key) ?? []).map(indexOf),
        ...graph.placeOf(row),
      };
    });
  }
}

async function readCatalog(session: Session, schema: string | null): Promise<CatalogRows> {
  const read = async (isBrief: boolean): Promise<CatalogRows> => {
    const [views, indexes, edges] = await session.queryAll([
      selectInspectedViews(schema, isBrief),
      selectInspectedIndexes(schema, isBrief),
      selectCatalogEdges(),
    ]);
    return {
      views: views as InspectedViewRow[],
      indexes: indexes as InspectedIndexRow[],
      edges: edges as CatalogEdgeRow[],
    };
  };
  try {
    return await session.attempt(async () => {
      await session.query(setLocalLockTimeout(LOCK_TIMEOUT_MS));
      return read(false);
    });
  } catch (error) {
    if (PASSING.has(errorCode(error))) {
      return read(true);
    }
    throw error;
  }
}

function byView(indexes: readonly InspectedIndexRow[]): Map<string, InspectedIndexRow[]> {
  const lists = new Map<string, InspectedIndexRow[]>();
  for (const index of indexes) {
    lists.set(index.view_key, [...(lists.get(index.view_key) ?? []), index]);
  }
  return lists;
}

function columnOf({ name, type, comment }: InspectedColumnJson): InspectedColumn {
  return { name, type, comment: comment ?? undefined };
}

function indexOf(row: InspectedIndexRow): InspectedIndex {
  return {
    name: row.name,
    definition: row.definition ?? undefined,
    method: row.method,
    isUnique: row.is_unique,
    isValid: row.is_valid,
    allowsConcurrently: row.is_usable_key,
    scanCount: row.scan_count,
    sizeBytes: row.size_bytes ?? undefined,
    comment: row.comment ?? undefined,
  };
}
