import { Command } from 'commander';
import { check, type CheckOptions } from '../check.js';
import type { CliCommand } from '../cli-command.js';

/** Whether all is as declared, for CI. */
export const checkCommand: CliCommand = {
  define: () =>
    new Command('check')
      .description('whether the database is as declared: exit code 2 where it is not')
      .option('--freshness', 'exit code 3 where rows are older than they may be')
      .option(
        '--data',
        'compare the rows of each view with what its query gives now (as dear as a refresh)',
      ),

  async run(cli, _args, options: CheckOptions) {
    const { source } = await cli.open();
    return check(source, options);
  },
};
