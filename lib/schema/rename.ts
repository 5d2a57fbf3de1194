import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { moveView, renameView } from '../postgres/view-ddl.sql.js';
import type { DatabaseState } from './database-state.js';
import { temporaryName } from './temporary-name.js';

/** A view that is declared under a new name, with `renamedFrom`, and is there under the old one. */
export interface Rename {
  view: ViewDefinition;
  from: QualifiedName;
}

/** Which declared views are to be renamed. One that is there under its new name is not. */
export function findRenames(
  definitions: readonly ViewDefinition[],
  state: DatabaseState,
): Rename[] {
  return definitions.flatMap((view) => {
    const from = view.renamedFrom;
    const isThere = from !== undefined && state.views.get(displayName(from))?.kind === 'm';
    return isThere && !state.views.has(viewName(view)) ? [{ view, from }] : [];
  });
}

/**
 * Views that read it follow by themselves: they are bound to its OID. Between schemas it goes by way of a
 * name that is free in both.
 */
export function renameStatements(from: QualifiedName, to: QualifiedName): SqlStatement[] {
  if (from.schema === to.schema) {
    return [renameView('m', from, to.name)];
  }
  const between = temporaryName('rename', displayName(from), displayName(to));
  return [
    renameView('m', from, between),
    moveView({ schema: from.schema, name: between }, to.schema),
    renameView('m', { schema: to.schema, name: between }, to.name),
  ];
}
