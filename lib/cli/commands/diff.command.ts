import { Command } from 'commander';
import type { CliCommand } from '../cli-command.js';
import { diff } from '../sync.js';
import { addPlanOptions, type PlanFlags, planPolicy } from './policy-options.js';

/** The SQL that `sync` would run. */
export const diffCommand: CliCommand = {
  define: () =>
    addPlanOptions(
      new Command('diff').description(
        'print the SQL that would bring the database in line with the code',
      ),
    ),

  async run(cli, _args, options: PlanFlags) {
    const { source } = await cli.open();
    return diff(source, planPolicy(options));
  },
};
