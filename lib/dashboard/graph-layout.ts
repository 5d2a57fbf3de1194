import * as dagre from '@dagrejs/dagre';
import type { GraphEdge, GraphNode, ViewsGraph } from './views-graph.js';

/** A node with its place: `x` and `y` are its middle. */
export interface PlacedNode extends GraphNode {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface PlacedEdge extends GraphEdge {
  points: { x: number; y: number }[];
}

export interface GraphLayout {
  width: number;
  height: number;
  nodes: PlacedNode[];
  edges: PlacedEdge[];
}

interface DagreGraph {
  setGraph(options: object): void;
  setDefaultEdgeLabel(label: () => object): void;
  setNode(id: string, size: { width: number; height: number }): void;
  setEdge(from: string, to: string): void;
  graph(): { width?: number; height?: number };
  node(id: string): Pick<PlacedNode, 'x' | 'y' | 'width' | 'height'>;
  edge(from: string, to: string): Pick<PlacedEdge, 'points'>;
}

/** Its types import files without extensions, which TypeScript doesn't find with Node's module resolution. */
const { Graph, layout } = dagre as unknown as {
  Graph: new () => DagreGraph;
  layout: (graph: DagreGraph) => void;
};

const NODE = { height: 44, padding: 24, characterWidth: 7.9, leastCharacters: 10 };
const SPACE = { rankdir: 'LR', nodesep: 18, ranksep: 60, marginx: 8, marginy: 8 };

/** Lays a graph out from left to right: what is read is left of what reads it. */
function layOut({ nodes, edges }: ViewsGraph): GraphLayout {
  const graph = new Graph();
  graph.setGraph({ ...SPACE });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id, label } of nodes) {
    const characters = Math.max(NODE.leastCharacters, label.length);
    const width = Math.ceil(characters * NODE.characterWidth + NODE.padding);
    graph.setNode(id, { width, height: NODE.height });
  }
  edges.forEach(({ from, to }) => graph.setEdge(from, to));
  layout(graph);
  const { width = 0, height = 0 } = graph.graph();
  return {
    width: Math.ceil(width),
    height: Math.ceil(height),
    nodes: nodes.map((node) => ({ ...node, ...graph.node(node.id) })),
    edges: edges.map((edge) => ({
      ...edge,
      points: graph.edge(edge.from, edge.to).points,
    })),
  };
}

/**
 * The layout takes longer than everything else on the page, and a graph changes only with a deployment, so it is cached
 * until then.
 */
export class KeptLayouts {
  private last: { signature: string; layout: GraphLayout } | undefined;

  of(graph: ViewsGraph): GraphLayout {
    const signature = JSON.stringify(graph);
    if (this.last?.signature !== signature) {
      this.last = { signature, layout: layOut(graph) };
    }
    return this.last.layout;
  }
}
