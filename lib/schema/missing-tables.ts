import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import type { SchemaSyncError } from '../errors/schema.errors.js';
import { missingTable } from '../freshness/capture-needs.js';
import { covers } from '../freshness/capture-record.js';
import type { QualifiedName } from '../postgres/identifier.js';
import type { SyncPolicy } from '../definition/module.options.js';
import type { DatabaseState } from './database-state.js';
import type { SchemaDiff } from './schema-diff.js';
import { allowsCreation } from './sync-policy.js';

/** A table that a view names in `refresh.on`, and that is not there. */
export interface MissingTable {
  view: ViewDefinition;
  table: QualifiedName;
}

/** Adds to a diff the tables that are not there. Pure. */
export function withMissingTables(diff: SchemaDiff, missing: readonly MissingTable[]): SchemaDiff {
  return {
    ...diff,
    views: diff.views.map((each) => ({
      ...each,
      differences: [
        ...each.differences,
        ...missing
          .filter(({ view }) => view === each.view)
          .map(({ view, table }) => ({
            kind: 'table-missing' as const,
            target: view.target.name,
            table,
          })),
      ],
    })),
  };
}

/**
 * Of each view that is to be told of writes to a table that is not there. One that was told of them before has lost its table since:
 * that is no mistake of this release, and the view goes on with the rest.
 */
export function refusedTables(
  missing: readonly MissingTable[],
  { known }: Pick<DatabaseState, 'known'>,
  policy: SyncPolicy,
): SchemaSyncError[] {
  if (policy.onMissingTable === 'skip' || !allowsCreation(policy)) {
    return [];
  }
  return missing
    .filter(({ view, table }) => {
      const remembered = known.get(viewName(view))?.capture ?? null;
      return !covers(remembered, { reads_sources: false, tables: [table] });
    })
    .map(({ view, table }) => missingTable(view, table));
}
