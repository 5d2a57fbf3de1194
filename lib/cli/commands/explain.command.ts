import { Command } from 'commander';
import { viewName } from '../../definition/view-definition.js';
import type { CliCommand } from '../cli-command.js';
import { explain } from '../explain.js';
import { inSchemaOf, type SchemaFlag, schemaOption } from '../schema-option.js';

/** Explains views. */
export const explainCommand: CliCommand = {
  define: () =>
    new Command('explain')
      .description('what triggers refreshes of views, and which modes and options they can have')
      .argument('[views...]', 'schema.name, or just the name; all if none is given')
      .addOption(schemaOption()),

  async run(cli, given, flags: SchemaFlag) {
    const { source, sources } = await cli.open();
    const names = inSchemaOf(given, flags);
    const { schema } = flags;
    const all = (): string[] => sources.materialized({ schema }).map(({ view }) => viewName(view));
    return explain(source, names.length === 0 && schema !== undefined ? all() : names);
  },
};
