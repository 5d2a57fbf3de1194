import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { createIndex, type IndexDefinition } from '../postgres/ddl.sql.js';
import {
  createCandidate,
  type DefinitionRow,
  selectCandidate,
  type ViewQuery,
} from '../postgres/rehearsal.sql.js';
import type { QualifiedName } from '../postgres/identifier.js';
import type { Statements } from '../postgres/statements.js';
import { type IndexRow, selectIndexesOf } from '../postgres/view-catalog.sql.js';
import { createIndexFromBody } from '../postgres/view-ddl.sql.js';
import type { DatabaseState } from './database-state.js';
import type { DeployedView } from './deployed-view.js';
import { hasFingerprint } from './fingerprint.js';
import { findIndexRenames, type IndexRename } from './index-renames.js';
import { makeShapeFor } from './shape.js';
import { refusalOf, stands } from './stands.js';
import { temporaryName } from './temporary-name.js';

/** PostgreSQL's findings about a view whose fingerprint differs from the stored one. */
export interface DefinitionComparison {
  isSameQuery: boolean;
  /** Why the declared query fails on the database's present state. */
  failure?: unknown;
  /** Declared indexes that exist with another definition. */
  changedIndexes: IndexDefinition[];
  /** Names of declared indexes that don't fit the columns that the view has now. */
  unfitIndexes: string[];
  /** Declared indexes that exist under another name. */
  renamedIndexes?: IndexRename[];
}

/**
 * Compares what is declared with what is deployed. PostgreSQL decides: white space, comments and
 * formatting don't count. A view whose fingerprint equals the stored one is left out, so that no
 * query is sent if nothing changed. Leaves no trace in the caller's transaction.
 */
export async function compareDefinitions(
  session: Statements,
  definitions: readonly ViewDefinition[],
  state: DatabaseState,
): Promise<Map<string, DefinitionComparison>> {
  const comparisons = new Map<string, DefinitionComparison>();
  for (const view of definitions) {
    const deployed = state.views.get(viewName(view));
    if (deployed?.kind === view.kind && !isRemembered(view, deployed, state)) {
      const comparison = await compare(session, view, deployed);
      const ownIndexes = state.known.get(viewName(view))?.own_indexes ?? [];
      const renamedIndexes = comparison.isSameQuery
        ? await findIndexRenames(session, view, { deployed, ownIndexes })
        : [];
      comparisons.set(viewName(view), { ...comparison, renamedIndexes });
    }
  }
  return comparisons;
}

function isRemembered(view: ViewDefinition, deployed: DeployedView, state: DatabaseState): boolean {
  return hasFingerprint(view, deployed, state.known.get(viewName(view)));
}

async function compare(
  session: Statements,
  view: ViewDefinition,
  deployed: DeployedView,
): Promise<DefinitionComparison> {
  const { definition, failure } = await session.undone(() =>
    tryQuery(session, { text: view.query, isDeclared: true }),
  );
  if (definition === undefined || !(await isSame(session, definition, deployed.row.definition))) {
    return { isSameQuery: false, changedIndexes: [], unfitIndexes: [], failure };
  }
  if (view.indexes.length === 0) {
    return { isSameQuery: true, changedIndexes: [], unfitIndexes: [] };
  }
  const tried = await session.undone(() => tryIndexes(session, deployed, view.indexes));
  return { isSameQuery: true, ...tried };
}

/** Whether the declared query, on the database's present state, is the definition of the view. */
export async function hasSameQuery(
  session: Statements,
  view: ViewDefinition,
  deployed: DeployedView,
): Promise<boolean> {
  const { definition } = await session.undone(() =>
    tryQuery(session, { text: view.query, isDeclared: true }),
  );
  return definition !== undefined && isSame(session, definition, deployed.row.definition);
}

/**
 * Parsing PostgreSQL's own text doesn't always give the same text again: `IN` over varchar gets other
 * casts. A view created from that text, by a dump, a swap or alterTable, has the second form.
 */
async function isSame(session: Statements, first: string, deployed: string): Promise<boolean> {
  if (first === deployed) {
    return true;
  }
  const again = { text: first, isDeclared: false };
  const { definition } = await session.undone(() => tryQuery(session, again));
  return definition === deployed;
}

/** PostgreSQL's text of a query, or why it fails: then it can't be what is deployed. */
async function tryQuery(
  session: Statements,
  query: ViewQuery,
): Promise<{ definition?: string; failure?: unknown }> {
  const failure = await refusalOf(session, createCandidate(query));
  if (failure !== undefined) {
    return { failure };
  }
  const [row] = await session.query<DefinitionRow>(selectCandidate());
  return { definition: row?.definition };
}

/**
 * Tries declared indexes on the columns that the view has. One that doesn't fit them is no error if the view is
 * rebuilt: its columns may change because of a view that it reads.
 */
async function tryIndexes(
  session: Statements,
  deployed: DeployedView,
  declared: IndexDefinition[],
): Promise<Pick<DefinitionComparison, 'changedIndexes' | 'unfitIndexes'>> {
  const { table, oid } = await makeShapeFor(session, deployed, declared);
  const unfit: string[] = [];
  for (const index of declared) {
    if (!(await stands(session, createIndex(table, { ...index, tablespace: undefined })))) {
      unfit.push(index.name);
    }
  }
  const bodies = await triedBodies(session, oid, table);
  return {
    changedIndexes: declared.filter((index) =>
      isOtherIndex(index, deployed, bodies.get(index.name) ?? []),
    ),
    unfitIndexes: unfit,
  };
}

/** PostgreSQL's text of each index and, as for queries, its text of that text. */
async function triedBodies(
  session: Statements,
  oid: string,
  table: QualifiedName,
): Promise<Map<string, string[]>> {
  const first = await session.query<IndexRow>(selectIndexesOf(oid));
  for (const { name, is_unique: isUnique, body } of first) {
    await session.query(createIndexFromBody(table, { name: secondName(name), isUnique, body }));
  }
  const all = await session.query<IndexRow>(selectIndexesOf(oid));
  return new Map(
    first.map(({ name }) => [
      name,
      all
        .filter((each) => each.name === name || each.name === secondName(name))
        .map(({ body }) => body),
    ]),
  );
}

/** Whether the index with this name differs from the declared one; false if there is none. */
function isOtherIndex(
  index: IndexDefinition,
  { indexes }: DeployedView,
  bodies: string[],
): boolean {
  const found = indexes.find(({ name }) => name === index.name);
  return (
    found !== undefined &&
    (!bodies.includes(found.body) ||
      found.is_unique !== index.unique ||
      !found.is_valid ||
      (index.tablespace !== undefined && found.tablespace !== index.tablespace))
  );
}

function secondName(index: string): string {
  return temporaryName('index', index);
}
