import { selectViewEdges, type ViewEdgeRow } from '../postgres/graph.sql.js';
import type { QualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';

/** One view reads another; either may be materialized or plain. */
export interface NamedViewEdge {
  source: QualifiedName;
  dependent: QualifiedName;
}

/** Which views read which, as the catalog has it now. */
export async function readViewEdges(session: Pick<Session, 'query'>): Promise<NamedViewEdge[]> {
  const rows = await session.query<ViewEdgeRow>(selectViewEdges());
  return rows.map((row) => ({
    source: { schema: row.source_schema, name: row.source_name },
    dependent: { schema: row.dependent_schema, name: row.dependent_name },
  }));
}
