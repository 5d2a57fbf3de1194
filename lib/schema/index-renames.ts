import type { ViewDefinition } from '../definition/view-definition.js';
import { createIndex, type IndexDefinition } from '../postgres/ddl.sql.js';
import type { Statements } from '../postgres/statements.js';
import { type IndexRow, selectIndexesOf } from '../postgres/view-catalog.sql.js';
import type { DeployedView } from './deployed-view.js';
import { makeShapeFor } from './shape.js';
import { stands } from './stands.js';

/** A declared index that exists under the name that it had in another release. */
export interface IndexRename {
  index: IndexDefinition;
  from: string;
}

/**
 * The declared indexes that only need renaming: the library created one with the same definition, whose name is no
 * longer declared. They need not be built again. Leaves no trace in the caller's transaction.
 */
export async function findIndexRenames(
  session: Statements,
  view: ViewDefinition,
  { deployed, ownIndexes }: { deployed: DeployedView; ownIndexes: readonly string[] },
): Promise<IndexRename[]> {
  const present = new Set(deployed.indexes.map(({ name }) => name));
  const declared = new Set(view.indexes.map(({ name }) => name));
  const missing = view.indexes.filter(({ name }) => !present.has(name));
  const spare = deployed.indexes.filter(
    ({ name, is_valid }) => is_valid && ownIndexes.includes(name) && !declared.has(name),
  );
  if (missing.length === 0 || spare.length === 0) {
    return [];
  }
  const tried = await session.undone(() => tryIndexes(session, deployed, missing));
  const renames: IndexRename[] = [];
  for (const index of missing) {
    const body = tried.find(({ name }) => name === index.name)?.body;
    const found = spare.find(
      (each) =>
        each.body === body &&
        each.is_unique === index.unique &&
        (index.tablespace === undefined || each.tablespace === index.tablespace) &&
        renames.every(({ from }) => from !== each.name),
    );
    if (found !== undefined) {
      renames.push({ index, from: found.name });
    }
  }
  return renames;
}

async function tryIndexes(
  session: Statements,
  deployed: DeployedView,
  indexes: readonly IndexDefinition[],
): Promise<IndexRow[]> {
  const { table, oid } = await makeShapeFor(session, deployed, indexes);
  for (const index of indexes) {
    // An index that doesn't fit the columns is no rename.
    await stands(session, createIndex(table, { ...index, tablespace: undefined }));
  }
  return session.query<IndexRow>(selectIndexesOf(oid));
}
