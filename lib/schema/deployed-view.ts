import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { IndexRow, StatisticsRow, ViewRow } from '../postgres/view-catalog.sql.js';
import type { ViewKind } from '../postgres/view-kind.js';

/** A view in the database, with everything that belongs to it. */
export interface DeployedView {
  row: ViewRow;
  name: QualifiedName;
  kind: ViewKind;
  indexes: IndexRow[];
  statistics: StatisticsRow[];
  /** What depends on it and is not a view, as PostgreSQL describes it. */
  otherDependents: string[];
}

/** The key of a view in maps: `schema.name`. */
export function deployedName(view: DeployedView): string {
  return displayName(view.name);
}
