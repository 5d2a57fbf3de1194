import { Command } from 'commander';
import type { Cli, CliCommand, CommandResult } from '../cli-command.js';
import { inSchemaOf, type SchemaFlag, schemaOption } from '../schema-option.js';

/** Cancels a running refresh, in any process. */
export const cancelCommand: CliCommand = {
  define: () =>
    new Command('cancel')
      .description('cancel the running refresh of a view, in any process')
      .argument('<view>', 'as schema.name')
      .addOption(schemaOption()),

  async run(cli: Cli, given: readonly string[], flags: SchemaFlag): Promise<CommandResult> {
    const [name = ''] = inSchemaOf(given, flags);
    const { refreshes } = await cli.open();
    const isCancelled = await refreshes.cancel(name);
    return {
      json: { view: name, isCancelled },
      text: isCancelled ? `Cancelled the refresh of ${name}.` : `No refresh of ${name} is running.`,
    };
  },
};
