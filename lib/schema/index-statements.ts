import { createIndex, type IndexDefinition } from '../postgres/ddl.sql.js';
import type { QualifiedName } from '../postgres/identifier.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import type { IndexRow } from '../postgres/view-catalog.sql.js';
import {
  commentOnIndex,
  createIndexFromBody,
  indexDependsOn,
  setDefaultTablespace,
  setIndexStatistics,
} from '../postgres/view-ddl.sql.js';

/** An index to create: as declared, or as the old view has it. */
export interface IndexBlueprint {
  name: string;
  /** `undefined` for an index made by hand. */
  declared?: IndexDefinition;
  /** The index with this name on the old view, for what is copied. */
  existing?: IndexRow;
}

/** Creates an index under its own name, with the comment and statistics of the one that it replaces. */
export function indexStatements(
  view: QualifiedName,
  name: string,
  index: Pick<IndexBlueprint, 'declared' | 'existing'>,
): SqlStatement[] {
  const qualified = { schema: view.schema, name };
  const { existing } = index;
  return [
    ...makeIndex(view, name, index).map((statement) => ({
      ...statement,
      makes: `index "${(index.declared ?? existing)?.name}"`,
    })),
    ...(existing?.comment ? [commentOnIndex(qualified, existing.comment)] : []),
    ...(existing?.statistics ?? []).map(({ position, target }) =>
      setIndexStatistics(qualified, position, target),
    ),
    ...(existing?.extensions ?? []).map((extension) => indexDependsOn(qualified, extension)),
  ];
}

function makeIndex(
  view: QualifiedName,
  name: string,
  index: Pick<IndexBlueprint, 'declared' | 'existing'>,
): SqlStatement[] {
  const { declared, existing } = index;
  const tablespace = declared?.tablespace ?? existing?.tablespace ?? undefined;
  if (declared !== undefined) {
    return [createIndex(view, { ...declared, name, tablespace })];
  }
  const create = createIndexFromBody(view, {
    name,
    isUnique: existing?.is_unique ?? false,
    body: existing?.body ?? '',
  });
  return tablespace === undefined
    ? [create]
    : [setDefaultTablespace(tablespace), create, setDefaultTablespace('')];
}
