import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { InvalidDefinitionError } from '../errors/usage.errors.js';
import { selectViewEdges, type ViewEdgeRow } from '../postgres/graph.sql.js';
import { displayName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';

/**
 * Refuses views whose own refreshes come back to them as writes, through what they name in `on` and what reads
 * what: they would be refreshed for ever.
 *
 * @throws InvalidDefinitionError with the way around
 */
export async function refuseCircles(
  session: Pick<Session, 'query'>,
  definitions: readonly ViewDefinition[],
): Promise<void> {
  const naming = definitions.filter(({ freshness }) => (freshness?.tables.length ?? 0) > 0);
  if (naming.length === 0) {
    return;
  }
  const edges = await session.query<ViewEdgeRow>(selectViewEdges());
  const told = tellersOf(naming, edges);
  for (const view of naming) {
    const way = wayBack(viewName(view), told);
    if (way !== undefined) {
      throw circle(view, way);
    }
  }
}

/** By name: what each view is told of, because it reads that or names it in `on`. */
function tellersOf(
  naming: readonly ViewDefinition[],
  edges: readonly ViewEdgeRow[],
): Map<string, Set<string>> {
  const told = new Map<string, Set<string>>();
  const add = (view: string, teller: string): void => {
    told.set(view, (told.get(view) ?? new Set()).add(teller));
  };
  for (const row of edges) {
    const dependent = { schema: row.dependent_schema, name: row.dependent_name };
    add(displayName(dependent), displayName({ schema: row.source_schema, name: row.source_name }));
  }
  for (const view of naming) {
    view.freshness?.tables.forEach((table) => add(viewName(view), displayName(table)));
  }
  return told;
}

/** The shortest way from a view back to itself, without the beginning. */
function wayBack(view: string, told: ReadonlyMap<string, Set<string>>): string[] | undefined {
  const ways = new Map<string, string[]>([[view, []]]);
  // A Map hands out what is added to it while it is iterated.
  for (const [each, way] of ways) {
    for (const teller of told.get(each) ?? []) {
      if (teller === view) {
        return [...way, view];
      }
      if (!ways.has(teller)) {
        ways.set(teller, [...way, teller]);
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
