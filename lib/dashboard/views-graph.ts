import type { CatalogObject, InspectedView } from '../introspection/inspected-view.js';

/** A declared view, or what stands above or below one. */
export interface GraphNode {
  id: string;
  /** As `schema.name`. */
  label: string;
  kind: CatalogObject['kind'];
  dataSource: string;
  /** Whether it has a page. */
  isManaged: boolean;
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

/** What the declared views read and what reads them, at whatever distance; what nothing declared touches is left out. */
export function viewsGraph(catalog: readonly InspectedView[]): ViewsGraph {
  const managed = catalog.filter(({ isManaged }) => isManaged);
  const nodes = new Map<string, GraphNode>();
  const add = (object: CatalogObject, dataSource: string, isManaged: boolean): void => {
    const id = idOf(object, dataSource);
    const label = `${object.schema}.${object.name}`;
    const isKnown = nodes.get(id)?.isManaged ?? false;
    nodes.set(id, { id, label, kind: object.kind, dataSource, isManaged: isManaged || isKnown });
  };
  for (const view of managed) {
    add(view, view.dataSource, true);
    const others = [...view.allDependencies, ...view.allDependents];
    others.forEach((each) => add(each, view.dataSource, false));
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

/** A table and a view cannot have one name; a function may have that of either. */
function idOf({ kind, schema, name }: CatalogObject, dataSource: string): string {
  return JSON.stringify([dataSource, kind === 'function', schema, name]);
}
