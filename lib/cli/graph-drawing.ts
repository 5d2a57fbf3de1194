import type { ViewEdge } from '../graph/view-edges.js';

export interface DrawnGraph {
  /** The declared views, as `schema.name`. */
  views: string[];
  /** Which views read which. Ends that are not among the views are undeclared. */
  edges: ViewEdge[];
}

export type GraphFormat = 'text' | 'mermaid' | 'dot';

export function drawGraph(graph: DrawnGraph, format: GraphFormat): string {
  return { text: asText, mermaid: asMermaid, dot: asDot }[format](graph);
}

/** A tree from each view that reads no other; a view below several is drawn below each. */
function asText(graph: DrawnGraph): string {
  const roots = namesOf(graph).filter((name) =>
    graph.edges.every(({ dependent }) => dependent !== name),
  );
  return roots.flatMap((root) => [root, ...branches(graph, root, '', [root])]).join('\n');
}

function branches(
  graph: DrawnGraph,
  name: string,
  indent: string,
  path: readonly string[],
): string[] {
  const dependents = graph.edges
    .filter(({ source, dependent }) => source === name && !path.includes(dependent))
    .map(({ dependent }) => dependent);
  return dependents.flatMap((dependent, position) => {
    const isLast = position === dependents.length - 1;
    return [
      `${indent}${isLast ? '└─' : '├─'} ${dependent}`,
      ...branches(graph, dependent, `${indent}${isLast ? '   ' : '│  '}`, [...path, dependent]),
    ];
  });
}

function asMermaid(graph: DrawnGraph): string {
  const ids = new Map(namesOf(graph).map((name, position) => [name, `v${position}`]));
  const nodes = [...ids].map(([name, id]) => `  ${id}["${name.replaceAll('"', '#quot;')}"]`);
  const edges = graph.edges.map(
    ({ source, dependent }) => `  ${ids.get(source)} --> ${ids.get(dependent)}`,
  );
  return ['flowchart TD', ...nodes, ...edges].join('\n');
}

function asDot(graph: DrawnGraph): string {
  const nodes = namesOf(graph).map((name) => `  ${dotId(name)};`);
  const edges = graph.edges.map(
    ({ source, dependent }) => `  ${dotId(source)} -> ${dotId(dependent)};`,
  );
  return ['digraph matviews {', ...nodes, ...edges, '}'].join('\n');
}

function dotId(name: string): string {
  return `"${name.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

function namesOf({ views, edges }: DrawnGraph): string[] {
  return [...new Set([...views, ...edges.flatMap(({ source, dependent }) => [source, dependent])])];
}
