import { selectViewEdges, type ViewEdgeRow } from '../postgres/graph.sql.js';
import type { QualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';

/** One view reads another; either may be materialized or plain. */
export interface ViewEdge {
  source: string;
  dependent: string;
}

/** What classes declare about functions whose bodies PostgreSQL can't read. */
export function declaredEdges(
  views: readonly { name: QualifiedName; dependsOn: readonly QualifiedName[] }[],
  nameOf: (view: QualifiedName) => string,
): ViewEdge[] {
  return views.flatMap(({ name, dependsOn }) =>
    dependsOn.map((source) => ({ source: nameOf(source), dependent: nameOf(name) })),
  );
}

/**
 * Which views read which, according to the catalog now.
 *
 * @param nameOf the view names that the edges use
 */
export async function readViewEdges(
  session: Pick<Session, 'query'>,
  nameOf: (view: QualifiedName) => string,
): Promise<ViewEdge[]> {
  return viewEdges(await session.query<ViewEdgeRow>(selectViewEdges()), nameOf);
}

/** The same for rows that were already read. */
export function viewEdges(
  rows: readonly ViewEdgeRow[],
  nameOf: (view: QualifiedName) => string,
): ViewEdge[] {
  return rows.map((row) => ({
    source: nameOf({ schema: row.source_schema, name: row.source_name }),
    dependent: nameOf({ schema: row.dependent_schema, name: row.dependent_name }),
  }));
}
