import { Command } from 'commander';
import type { CliCommand } from '../cli-command.js';
import { explain } from '../explain.js';

/** What can be said of a view. */
export const explainCommand: CliCommand = {
  define: () =>
    new Command('explain')
      .description('what triggers refreshes of views, and which modes and options they can have')
      .argument('[views...]', 'schema.name, or just the name; all if none is given'),

  async run(cli, names) {
    const { source } = await cli.open();
    return explain(source, names);
  },
};
