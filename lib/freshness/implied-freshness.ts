import type { ViewDefinition } from '../definition/view-definition.js';
import { selectViewEdges, type ViewEdgeRow } from '../postgres/graph.sql.js';
import { type QualifiedName, quoteQualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { type ObstacleRow, selectObstacles } from '../postgres/obstacle.sql.js';

/**
 * Has the views watched that stand below one with `maxStaleness`, as the catalog is now: nobody could tell
 * otherwise whether they have to be refreshed for it. Those of which that cannot be known are left out, and
 * so are refreshed by their age. What it finds is set at the end and at once: refreshes run meanwhile.
 */
export async function implyFreshness(
  session: Pick<Session, 'query'>,
  stateSchema: string,
  definitions: readonly ViewDefinition[],
  standIns: readonly QualifiedName[],
): Promise<void> {
  const others = definitions.filter(
    ({ freshness }) => freshness === undefined || freshness.isImplied,
  );
  const implied = new Set(await readImplied(session, stateSchema, others, standIns, definitions));
  for (const view of others) {
    view.freshness = implied.has(view)
      ? { readsSources: true, tables: [], skipsUnchanged: false, isImplied: true }
      : undefined;
  }
}

async function readImplied(
  session: Pick<Session, 'query'>,
  stateSchema: string,
  others: readonly ViewDefinition[],
  standIns: readonly QualifiedName[],
  definitions: readonly ViewDefinition[],
): Promise<ViewDefinition[]> {
  const tops = definitions.filter(({ freshness }) => freshness?.maxStalenessMs !== undefined);
  if (tops.length === 0 || others.length === 0) {
    return [];
  }
  const below = await readBelow(session, tops);
  const candidates = others.filter(({ name }) => below.has(quoteQualifiedName(name)));
  if (candidates.length === 0) {
    return [];
  }
  const roots = candidates.map(({ name }) => ({ view: name, root: name }));
  const obstacles = await session.query<ObstacleRow>(selectObstacles(stateSchema, roots, standIns));
  const obstructed = new Set(obstacles.map(({ position }) => position));
  return candidates.filter((_, position) => !obstructed.has(position));
}

/** All that the views read, and what that reads. */
async function readBelow(
  session: Pick<Session, 'query'>,
  views: readonly ViewDefinition[],
): Promise<Set<string>> {
  const edges = (await session.query<ViewEdgeRow>(selectViewEdges())).map((row) => ({
    source: quoteQualifiedName({ schema: row.source_schema, name: row.source_name }),
    dependent: quoteQualifiedName({ schema: row.dependent_schema, name: row.dependent_name }),
  }));
  const below = new Set(views.map(({ name }) => quoteQualifiedName(name)));
  // A Set hands out what is added to it while it is iterated.
  for (const view of below) {
    edges.filter(({ dependent }) => dependent === view).forEach(({ source }) => below.add(source));
  }
  return below;
}
