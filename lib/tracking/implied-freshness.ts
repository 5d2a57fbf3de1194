import { groupedBy } from '../definition/grouped-by.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { type QualifiedName, quoteQualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { type ObstacleRow, selectObstacles } from '../postgres/obstacle.sql.js';
import { readViewEdges } from '../graph/view-edges.js';

/**
 * Sets `freshness` of the views that have no such options themselves but are read, directly or not, by a view
 * with `maxStaleness`: only tracking their changes tells when they must be refreshed for that view. Views whose
 * changes can't be noticed are left out; they are refreshed by their age.
 *
 * Everything is set at the end, without waiting in between: refreshes run meanwhile, and must not see half
 * of it.
 */
export async function implyFreshness(
  session: Pick<Session, 'query'>,
  stateSchema: string,
  definitions: readonly ViewDefinition[],
  standIns: readonly QualifiedName[],
): Promise<void> {
  const others = definitions.filter(
    ({ kind, freshness }) => kind.storesRows && (freshness === undefined || freshness.isImplied),
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

/** The given views and all views below them, directly or not, by quoted name. */
async function readBelow(
  session: Pick<Session, 'query'>,
  views: readonly ViewDefinition[],
): Promise<Set<string>> {
  const edges = groupedBy(
    await readViewEdges(session, quoteQualifiedName),
    ({ dependent }) => dependent,
  );
  const below = new Set(views.map(({ name }) => quoteQualifiedName(name)));
  // Iterating over a Set includes what is added meanwhile.
  for (const view of below) {
    edges.get(view)?.forEach(({ source }) => below.add(source));
  }
  return below;
}
