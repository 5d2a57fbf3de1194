import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { InvalidDefinitionError } from '../errors/usage.errors.js';
import { displayName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { readViewEdges, type ViewEdge } from '../graph/view-edges.js';

/**
 * Refuses a view that names in `on` something that depends on the view itself: each of its refreshes would count
 * as a write to its own sources, and it would be refreshed endlessly.
 *
 * @throws InvalidDefinitionError naming each view on the circle
 */
export async function refuseCircles(
  session: Pick<Session, 'query'>,
  definitions: readonly ViewDefinition[],
): Promise<void> {
  const naming = definitions.filter(({ freshness }) => (freshness?.tables.length ?? 0) > 0);
  if (naming.length === 0) {
    return;
  }
  const sources = sourcesOf(naming, await readViewEdges(session, displayName));
  for (const view of naming) {
    const way = wayBack(viewName(view), sources);
    if (way !== undefined) {
      throw circle(view, way);
    }
  }
}

/**
 * For the name of each view, where its changes come from: the views that it reads, and what it names in `on`.
 */
function sourcesOf(
  naming: readonly ViewDefinition[],
  edges: readonly ViewEdge[],
): Map<string, Set<string>> {
  const sources = new Map<string, Set<string>>();
  const add = (view: string, source: string): void => {
    sources.set(view, (sources.get(view) ?? new Set()).add(source));
  };
  edges.forEach(({ source, dependent }) => add(dependent, source));
  for (const view of naming) {
    view.freshness?.tables.forEach((table) => add(viewName(view), displayName(table)));
  }
  return sources;
}

/** The names on the shortest way from a view back to itself, without the first; `undefined` where there is none. */
function wayBack(view: string, sources: ReadonlyMap<string, Set<string>>): string[] | undefined {
  const ways = new Map<string, string[]>([[view, []]]);
  // Iterating over a Map includes what is added meanwhile.
  for (const [each, way] of ways) {
    for (const source of sources.get(each) ?? []) {
      if (source === view) {
        return [...way, view];
      }
      if (!ways.has(source)) {
        ways.set(source, [...way, source]);
      }
    }
  }
  return undefined;
}

function circle(view: ViewDefinition, way: string[]): InvalidDefinitionError {
  const path = [viewName(view), ...way].map((name) => `"${name}"`).join(' -> ');
  return new InvalidDefinitionError(
    `Materialized view "${viewName(view)}" of ${view.target.name} would be refreshed for ever, because each refresh of it comes back as a write by \`refresh.on\`: ${path} (each reads the next, or names it in \`on\`). Nothing has been changed.`,
    {
      view: viewName(view),
      hint: 'Name in `on` only tables and views that do not depend on this one.',
    },
  );
}
