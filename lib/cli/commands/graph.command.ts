import { Command, Option } from 'commander';
import { viewName } from '../../definition/view-definition.js';
import { declaredEdges, readViewEdges, type ViewEdge } from '../../graph/view-edges.js';
import { displayName } from '../../postgres/identifier.js';
import type { Cli, CliCommand, CommandResult } from '../cli-command.js';
import { type DrawnGraph, drawGraph, type GraphFormat } from '../graph-drawing.js';
import type { Project } from '../project.js';
import { type SchemaFlag, viewsIn } from '../schema-option.js';

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
      )
      .option(
        '--schema <name>',
        'only views of this schema, and those that they read or that read them',
      ),

  async run(
    cli: Cli,
    _args: readonly string[],
    { format, ...flags }: { format: GraphFormat | 'json' } & SchemaFlag,
  ): Promise<CommandResult> {
    const graph = await readGraph(await cli.open(), flags);
    const text = format === 'json' ? JSON.stringify(graph, undefined, 2) : drawGraph(graph, format);
    return { json: graph, text };
  },
};

/** The declared views, and others between or above them. */
async function readGraph({ source }: Project, flags: SchemaFlag): Promise<DrawnGraph> {
  const declared = source.views.all();
  const names = new Set(viewsIn(declared, flags).map(viewName));
  const read = await source.database.reading(ANSWER_TIMEOUT_MS, (session) =>
    readViewEdges(session, displayName),
  );
  const edges = distinct([...read, ...declaredEdges(declared, displayName)]);
  return {
    views: [...names],
    edges: flags.schema === undefined ? connected(edges, names) : linked(edges, names),
  };
}

function distinct(edges: readonly ViewEdge[]): ViewEdge[] {
  return [
    ...new Map(edges.map((edge) => [JSON.stringify([edge.source, edge.dependent]), edge])).values(),
  ];
}

/** The edges of views related to the declared ones. */
function connected(edges: readonly ViewEdge[], declared: ReadonlySet<string>): ViewEdge[] {
  const reached = reach(declared, (view) => [...above(edges, view), ...below(edges, view)]);
  return edges.filter(({ source }) => reached.has(source));
}

/** The same of one schema: what it shares with others does not lead to them. */
function linked(edges: readonly ViewEdge[], own: ReadonlySet<string>): ViewEdge[] {
  const reached = new Set([
    ...reach(own, (view) => above(edges, view)),
    ...reach(own, (view) => below(edges, view)),
  ]);
  return edges.filter(({ source, dependent }) => reached.has(source) && reached.has(dependent));
}

function reach(start: ReadonlySet<string>, next: (view: string) => string[]): Set<string> {
  const reached = new Set(start);
  for (const view of reached) {
    next(view).forEach((each) => reached.add(each));
  }
  return reached;
}

function above(edges: readonly ViewEdge[], view: string): string[] {
  return edges.filter(({ source }) => source === view).map(({ dependent }) => dependent);
}

function below(edges: readonly ViewEdge[], view: string): string[] {
  return edges.filter(({ dependent }) => dependent === view).map(({ source }) => source);
}
