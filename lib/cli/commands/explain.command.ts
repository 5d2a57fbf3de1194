import { Command } from 'commander';
import type { CliCommand } from '../cli-command.js';
import { explain } from '../explain.js';

/** What can be said of a view. */
export const explainCommand: CliCommand = {
  define: () =>
    new Command('explain')
      .description('what can be said of the freshness and the modes of views, and why not')
      .argument('[views...]', 'schema.name, or the name alone; all where none is named'),

  async run(cli, names) {
    const { source } = await cli.open();
    return explain(source, names);
  },
};
