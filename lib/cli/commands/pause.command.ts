import { Command } from 'commander';
import type { Cli, CliCommand, CommandResult } from '../cli-command.js';
import { forEachView } from '../for-each-view.js';
import { inSchemaOf, type SchemaFlag, schemaOption } from '../schema-option.js';

/** Pauses refreshes of views by their schedules and after writes. */
export const pauseCommand: CliCommand = {
  define: () =>
    new Command('pause')
      .description('stop scheduled and write-triggered refreshes of views, in all processes')
      .argument('<views...>', 'as schema.name')
      .addOption(schemaOption()),

  async run(cli: Cli, given: readonly string[], flags: SchemaFlag): Promise<CommandResult> {
    const names = inSchemaOf(given, flags);
    await forEachView(cli, names, (refreshes, name) => refreshes.pause(name));
    return { json: { paused: names }, text: `Paused: ${names.join(', ')}.` };
  },
};
