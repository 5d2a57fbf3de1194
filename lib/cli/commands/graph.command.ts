import { Command, Option } from 'commander';
import { viewName } from '../../definition/view-definition.js';
import { declaredEdges, readViewEdges, type ViewEdge } from '../../graph/view-edges.js';
import { displayName } from '../../postgres/identifier.js';
import type { Cli, CliCommand, CommandResult } from '../cli-command.js';
import { type DrawnGraph, drawGraph, type GraphFormat } from '../graph-drawing.js';
import type { Project } from '../project.js';

const ANSWER_TIMEOUT_MS = 5_000;

/** Which views read which. */
export const graphCommand: CliCommand = {
  define: () =>
    new Command('graph')
      .description('which view reads which, from the catalog and dependsOn')
      .addOption(
        new Option('--format <format>', 'what is printed')
          .choices(['text', 'mermaid', 'dot', 'json'])
          .default('text'),
      ),

  async run(
    cli: Cli,
    _args: readonly string[],
    { format }: { format: GraphFormat | 'json' },
  ): Promise<CommandResult> {
    const graph = await readGraph(await cli.open());
    const text = format === 'json' ? JSON.stringify(graph, undefined, 2) : drawGraph(graph, format);
    return { json: graph, text };
  },
};

/** The declared views, and others between or above them. */
async function readGraph({ source }: Project): Promise<DrawnGraph> {
  const declared = source.views.all();
  const read = await source.database.reading(ANSWER_TIMEOUT_MS, (session) =>
    readViewEdges(session, displayName),
  );
  const names = new Set(declared.map(viewName));
  const edges = distinct([...read, ...declaredEdges(declared, displayName)]);
  return { views: [...names], edges: connected(edges, names) };
}

function distinct(edges: readonly ViewEdge[]): ViewEdge[] {
  return [
    ...new Map(edges.map((edge) => [JSON.stringify([edge.source, edge.dependent]), edge])).values(),
  ];
}

/** The edges of views related to the declared ones. */
function connected(edges: readonly ViewEdge[], declared: ReadonlySet<string>): ViewEdge[] {
  const reached = new Set(declared);
  for (const view of reached) {
    for (const { source, dependent } of edges) {
      if (source === view) {
        reached.add(dependent);
      } else if (dependent === view) {
        reached.add(source);
      }
    }
  }
  return edges.filter(({ source }) => reached.has(source));
}
