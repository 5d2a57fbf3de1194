import type { DataSourceContext } from '../definition/data-source.context.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { DependencyCycleError } from '../errors/schema.errors.js';
import { declaredEdges, viewEdges } from '../graph/view-edges.js';
import {
  type MeanDurationRow,
  selectMeanDurations,
  selectViewEdges,
  type ViewEdgeRow,
} from '../postgres/graph.sql.js';
import { quoteQualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import {
  circleOf,
  type Dependencies,
  type RefreshCascade,
  ViewGraph,
} from '../graph/view-graph.js';

/** The views of one data source to refresh, and what determines their order. */
export interface GraphPlan {
  /** By key; so are the others. */
  views: Map<string, ViewDefinition>;
  dependencies: Dependencies;
  /** Recent durations, if known. */
  durationsMs: Map<string, number>;
}

export interface GraphRequest {
  targets: readonly ViewDefinition[];
  cascade?: RefreshCascade;
  /** Whether durations are needed. @default true */
  isTimed?: boolean;
}

/** Quoted, because names that contain dots could be confused. */
export const keyOf = ({ name }: ViewDefinition): string => quoteQualifiedName(name);

/**
 * Works out what to refresh from the present catalog, the declarations and the history: two queries for
 * any number of views.
 *
 * @throws DependencyCycleError if no order is possible
 */
export async function planGraph(
  { database, views: registry }: DataSourceContext,
  request: GraphRequest,
): Promise<GraphPlan> {
  return database.bookkeeping(async (session) => {
    // The views that a cascade can reach.
    const registered = registry.materialized();
    const graph = graphOf(await session.query<ViewEdgeRow>(selectViewEdges()), registry.all());
    const reached = graph.withCascade(request.targets.map(keyOf), request.cascade);
    const wanted = [...request.targets, ...registered].filter((each) => reached.has(keyOf(each)));
    const views = new Map(wanted.map((each) => [keyOf(each), each]));
    const dependencies = graph.among(new Set(views.keys()));
    refuseCircle(dependencies, views);
    return {
      views,
      dependencies,
      durationsMs:
        request.isTimed === false
          ? new Map()
          : await readDurations(session, database.stateSchema, views),
    };
  });
}

/** Which views read which, according to the catalog and the registered views' declarations. */
export function graphOf(
  rows: readonly ViewEdgeRow[],
  registered: readonly ViewDefinition[],
): ViewGraph {
  return new ViewGraph([
    ...viewEdges(rows, quoteQualifiedName),
    ...declaredEdges(registered, quoteQualifiedName),
  ]);
}

async function readDurations(
  session: Session,
  stateSchema: string,
  views: GraphPlan['views'],
): Promise<Map<string, number>> {
  const names = [...views.values()].map(({ name }) => name);
  const rows = await session.query<MeanDurationRow>(selectMeanDurations(stateSchema, names));
  return new Map(
    rows.map((row) => [
      quoteQualifiedName({ schema: row.schema_name, name: row.view_name }),
      row.mean_ms,
    ]),
  );
}

function refuseCircle(dependencies: Dependencies, views: GraphPlan['views']): void {
  const circle = [...views].filter(([key]) => circleOf(dependencies).includes(key));
  if (circle.length > 0) {
    const names = circle.map(([, view]) => viewName(view));
    throw new DependencyCycleError(
      `Materialized views depend on each other in a circle, in which none can be the first to be refreshed: ${names.map((name) => `"${name}"`).join(', ')}. Nothing has been refreshed.`,
      {
        view: names[0],
        hint: 'Remove one of these dependencies from a query or from `dependsOn`.',
      },
    );
  }
}
