import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { createIndex, type IndexDefinition } from '../postgres/ddl.sql.js';
import {
  createCandidate,
  createShape,
  type DefinitionRow,
  selectCandidate,
  selectShape,
  type ShapeRow,
} from '../postgres/rehearsal.sql.js';
import type { Session } from '../postgres/session.js';
import { SessionLost } from '../postgres/session.js';
import {
  type IndexRow,
  selectIndexesOf,
  setEmptySearchPath,
} from '../postgres/view-catalog.sql.js';
import { createIndexFromBody } from '../postgres/view-ddl.sql.js';
import type { DatabaseState } from './database-state.js';
import type { DeployedView } from './deployed-view.js';
import { fingerprint } from './fingerprint.js';
import { temporaryName } from './temporary-name.js';

/** What PostgreSQL says of one view whose fingerprint is not the remembered one. */
export interface DefinitionComparison {
  isSameQuery: boolean;
  /** Declared indexes that exist with another definition. */
  changedIndexes: IndexDefinition[];
}

/**
 * Compares what is declared with what is deployed. PostgreSQL is the judge: white space, comments and
 * formatting do not count. A view whose fingerprint is the remembered one is left out, so that
 * nothing is asked where nothing changed. Leaves no trace in the caller's transaction.
 */
export async function compareDefinitions(
  session: Session,
  definitions: readonly ViewDefinition[],
  state: DatabaseState,
): Promise<Map<string, DefinitionComparison>> {
  const comparisons = new Map<string, DefinitionComparison>();
  for (const view of definitions) {
    const deployed = state.views.get(viewName(view));
    if (deployed?.kind === 'm' && !isRemembered(view, deployed, state)) {
      comparisons.set(viewName(view), await compare(session, view, deployed));
    }
  }
  return comparisons;
}

function isRemembered(view: ViewDefinition, deployed: DeployedView, state: DatabaseState): boolean {
  return state.known.get(viewName(view))?.fingerprint === fingerprint(view, deployed);
}

async function compare(
  session: Session,
  view: ViewDefinition,
  deployed: DeployedView,
): Promise<DefinitionComparison> {
  if (!(await isSameQuery(session, view.query, deployed.row.definition))) {
    return { isSameQuery: false, changedIndexes: [] };
  }
  const existing = view.indexes.filter((index) =>
    deployed.indexes.some((each) => each.name === index.name),
  );
  const changedIndexes =
    existing.length === 0
      ? []
      : await session.undone(() => indexesThatDiffer(session, deployed, existing));
  return { isSameQuery: true, changedIndexes };
}

/**
 * PostgreSQL's text is not always one that it writes again when it reads it: `IN` over varchar gets other
 * casts. A view that was made from that text, by a dump, a swap or alterTable, has the second one.
 */
async function isSameQuery(session: Session, query: string, deployed: string): Promise<boolean> {
  const first = await session.undone(() => candidateDefinition(session, query));
  if (first === undefined || first === deployed) {
    return first === deployed;
  }
  return deployed === (await session.undone(() => candidateDefinition(session, first)));
}

/** `undefined` when the query does not stand: it cannot be what is deployed then. */
async function candidateDefinition(session: Session, query: string): Promise<string | undefined> {
  try {
    await session.query(createCandidate(query));
  } catch (error) {
    if (error instanceof SessionLost) {
      throw error;
    }
    return undefined;
  }
  await session.query(setEmptySearchPath());
  const [row] = await session.query<DefinitionRow>(selectCandidate());
  return row?.definition;
}

async function indexesThatDiffer(
  session: Session,
  deployed: DeployedView,
  declared: IndexDefinition[],
): Promise<IndexDefinition[]> {
  await session.query(createShape(deployed.name));
  const [shape] = await session.query<ShapeRow>(selectShape());
  if (shape === undefined) {
    return declared;
  }
  const table = { schema: shape.schema_name, name: shape.view_name };
  for (const index of declared) {
    await session.query(createIndex(table, { ...index, tablespace: undefined }));
  }
  await session.query(setEmptySearchPath());
  const tried = await session.query<IndexRow>(selectIndexesOf(shape.oid));
  // Once more from PostgreSQL's own text, as for queries.
  for (const { name, is_unique: isUnique, body } of tried) {
    await session.query(createIndexFromBody(table, { name: secondName(name), isUnique, body }));
  }
  const all = await session.query<IndexRow>(selectIndexesOf(shape.oid));
  return declared.filter((index) => {
    const found = deployed.indexes.find((each) => each.name === index.name);
    const bodies = all
      .filter(({ name }) => name === index.name || name === secondName(index.name))
      .map(({ body }) => body);
    return (
      found === undefined ||
      !bodies.includes(found.body) ||
      found.is_unique !== index.unique ||
      !found.is_valid ||
      (index.tablespace !== undefined && found.tablespace !== index.tablespace)
    );
  });
}

function secondName(index: string): string {
  return temporaryName('index', index);
}
