import type { SyncPolicy } from '../definition/module.options.js';
import { allowsCreation } from '../definition/policy-rights.js';
import { viewName } from '../definition/view-definition.js';
import { SchemaSyncError } from '../errors/schema.errors.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { KnownViewRow } from '../postgres/state.sql.js';
import type { MissingTable } from './capture-needs.js';
import { covers } from './capture-record.js';

/**
 * Errors for the views that can't track a table because it doesn't exist. If a view tracked the table before, the
 * table was lost since: that isn't an error of this release, and the view goes on with the rest.
 */
export function refusedTables(
  missing: readonly MissingTable[],
  known: ReadonlyMap<string, KnownViewRow>,
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
    .map(missingTable);
}

function missingTable({ view, table }: MissingTable): SchemaSyncError {
  const name = viewName(view);
  return new SchemaSyncError(
    `Cannot notice changes for materialized view "${name}" of ${view.target.name}: \`refresh.on\` names "${displayName(table)}", which does not exist. Nothing has been changed.`,
    { view: name, hint: missingTableHint(table) },
  );
}

function missingTableHint({ name }: QualifiedName): string {
  return name === 'sources'
    ? "For everything that the view reads, write `on: 'sources'`, without the brackets."
    : 'Create the table first, or write its schema in front of its name.';
}
