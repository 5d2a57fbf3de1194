import { Command } from 'commander';
import type { Cli, CliCommand, CommandResult } from '../cli-command.js';
import { forEachView } from '../for-each-view.js';
import { inSchemaOf, type SchemaFlag, schemaOption } from '../schema-option.js';

/** Resumes refreshes of views by their schedules and after writes. */
export const resumeCommand: CliCommand = {
  define: () =>
    new Command('resume')
      .description('end a pause')
      .argument('<views...>', 'as schema.name')
      .addOption(schemaOption()),

  async run(cli: Cli, given: readonly string[], flags: SchemaFlag): Promise<CommandResult> {
    const names = inSchemaOf(given, flags);
    await forEachView(cli, names, (refreshes, name) => refreshes.resume(name));
    return { json: { resumed: names }, text: `Resumed: ${names.join(', ')}.` };
  },
};
