import type { CatalogObject, InspectedView } from '../introspection/inspected-view.js';
import { nameKey, type ViewName } from './readings.js';

/** A declared view, or something above or below one. */
export interface GraphNode {
  id: string;
  /** As `schema.name`. */
  label: string;
  kind: CatalogObject['kind'];
  dataSource: string;
  /** Whether it is a declared view that is refreshed. */
  hasPage: boolean;
}

/** `to` reads `from`. */
export interface GraphEdge {
  from: string;
  to: string;
}

export interface ViewsGraph {
  nodes: GraphNode[];
  edges: GraphEdge[];
}

/**
 * What the declared views read and what reads them, directly or not. Everything else is left out.
 *
 * @param pages the views that have pages
 */
export function viewsGraph(
  catalog: readonly InspectedView[],
  pages: readonly ViewName[],
): ViewsGraph {
  const linked = new Set(pages.map(nameKey));
  const nodes = new Map<string, GraphNode>();
  const add = (object: CatalogObject, dataSource: string): void => {
    const label = `${object.schema}.${object.name}`;
    const { kind } = object;
    const hasPage = kind !== 'function' && linked.has(nameKey({ dataSource, view: label }));
    const id = idOf(object, dataSource);
    nodes.set(id, { id, label, kind, dataSource, hasPage });
  };
  for (const view of catalog.filter(({ isManaged }) => isManaged)) {
    [view, ...view.allDependencies, ...view.allDependents].forEach((each) =>
      add(each, view.dataSource),
    );
  }
  return { nodes: [...nodes.values()], edges: edgesAmong(nodes, catalog) };
}

function edgesAmong(
  nodes: ReadonlyMap<string, GraphNode>,
  catalog: readonly InspectedView[],
): GraphEdge[] {
  const edges = new Map<string, GraphEdge>();
  for (const view of catalog) {
    const own = idOf(view, view.dataSource);
    const pairs = [
      ...view.dependencies.map((each) => ({ from: idOf(each, view.dataSource), to: own })),
      ...view.dependents.map((each) => ({ from: own, to: idOf(each, view.dataSource) })),
    ];
    pairs
      .filter(({ from, to }) => nodes.has(from) && nodes.has(to))
      .forEach((edge) => edges.set(`${edge.from} ${edge.to}`, edge));
  }
  return [...edges.values()];
}

/** A table and a view can't share a name; a function may have the name of either. */
function idOf({ kind, schema, name }: CatalogObject, dataSource: string): string {
  return JSON.stringify([dataSource, kind === 'function', schema, name]);
}
