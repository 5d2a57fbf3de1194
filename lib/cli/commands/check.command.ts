import { Command } from 'commander';
import { check, type CheckOptions } from '../check.js';
import type { CliCommand } from '../cli-command.js';

/** Checks whether everything is as declared, for CI. */
export const checkCommand: CliCommand = {
  define: () =>
    new Command('check')
      .description("check that the database matches the code: exit code 2 if it doesn't")
      .option('--schema <name>', 'only the views of this schema')
      .option('--freshness', 'exit code 3 if a view is stale')
      .option(
        '--data',
        'compare the rows of each view with what its query returns now (as expensive as a refresh)',
      ),

  async run(cli, _args, options: CheckOptions) {
    const { source } = await cli.open();
    return check(source, options);
  },
};
