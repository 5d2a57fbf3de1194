import { Command } from 'commander';
import { shownSize } from '../../definition/format.js';
import type { CatalogObject, InspectedView } from '../../introspection/inspected-view.js';
import { displayName } from '../../postgres/identifier.js';
import type { Cli, CliCommand, CommandResult } from '../cli-command.js';
import { CommandLineUsageError } from '../command-line.errors.js';
import type { Output } from '../output.js';
import type { SchemaFlag } from '../schema-option.js';

const HEAD = ['VIEW', 'KIND', 'DECLARED', 'OWNER', 'POPULATED', 'SIZE', 'INDEXES', 'READS'];

/** How long reading the catalog may take. */
const TIMEOUT_MS = 30_000;

/** What the catalog has about all views. */
export const inspectCommand: CliCommand = {
  define: () =>
    new Command('inspect')
      .description(
        'all views of the database, declared or not: definition, columns, indexes, dependencies',
      )
      .argument(
        '[views...]',
        'schema.name, or just the name: prints everything that is known about each',
      )
      .option('--schema <name>', 'only views of this schema'),

  async run(cli: Cli, names: readonly string[], { schema }: SchemaFlag): Promise<CommandResult> {
    const { source } = await cli.open();
    const all = await source.catalog.inspect(schema, TIMEOUT_MS);
    const views = names.length === 0 ? all : names.map((name) => viewNamed(all, name));
    const text =
      names.length === 0
        ? cli.output.table(HEAD, views.map(row))
        : views.map((view) => details(view, cli.output)).join('\n\n');
    return { json: { views }, text: views.length === 0 ? 'There is no view.' : text };
  },
};

function viewNamed(views: readonly InspectedView[], name: string): InspectedView {
  const found = views.filter((each) => each.view === name);
  const [view, ...others] = found.length > 0 ? found : views.filter((each) => each.name === name);
  if (view === undefined || others.length > 0) {
    throw new CommandLineUsageError(
      view === undefined
        ? `The database has no view "${name}".`
        : `Several views have the name "${name}": ${[view, ...others].map((each) => each.view).join(', ')}.`,
    );
  }
  return view;
}

function row(view: InspectedView): string[] {
  return [
    view.view,
    view.kind,
    yesOrNo(view.isManaged),
    view.owner,
    yesOrNo(view.isPopulated),
    view.sizeBytes === undefined ? '' : shownSize(view.sizeBytes),
    String(view.indexes.length),
    view.dependencies.map(displayName).join(', '),
  ];
}

function details(view: InspectedView, output: Output): string {
  const { columns, indexes, comment, definition } = view;
  const lists: [string, string[]][] = [
    ['columns', columns.map(({ name, type }) => `${name} ${type}`)],
    [
      'indexes',
      indexes.map(
        ({ name, definition: sql = name, scanCount, sizeBytes, isValid }) =>
          `${sql} (${scanCount} scans${sizeBytes === undefined ? '' : `, ${shownSize(sizeBytes)}`}${isValid ? '' : ', invalid'})`,
      ),
    ],
    ['reads', view.allDependencies.map(described)],
    ['read by', view.allDependents.map(described)],
  ];
  const facts = [
    view.kind,
    view.isManaged ? 'declared' : 'not declared',
    `owner ${view.owner}`,
    ...(view.isPopulated ? [] : ['not populated']),
    ...(view.sizeBytes === undefined ? [] : [shownSize(view.sizeBytes)]),
    ...(comment === undefined ? [] : [comment]),
  ];
  return [
    output.style('bold', view.view),
    `  ${facts.join(', ')}`,
    ...lists.flatMap(([title, items]) =>
      items.length === 0 ? [] : [`  ${title}`, ...items.map((item) => `    ${item}`)],
    ),
    ...(definition === undefined ? [] : ['  definition', indented(definition)]),
  ].join('\n');
}

const yesOrNo = (value: boolean): string => (value ? 'yes' : 'no');

const described = (object: CatalogObject): string => `${object.kind} ${displayName(object)}`;

function indented(text: string): string {
  return text
    .split('\n')
    .map((line) => `    ${line}`)
    .join('\n');
}
