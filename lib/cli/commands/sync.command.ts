import { Command } from 'commander';
import type { CliCommand } from '../cli-command.js';
import { Consent } from '../consent.js';
import { diff, sync } from '../sync.js';
import { addPlanOptions, type PlanFlags, planPolicy } from './policy-options.js';

interface SyncFlags extends PlanFlags {
  dryRun?: boolean;
  yes?: boolean;
}

/** Makes the database as declared. */
export const syncCommand: CliCommand = {
  define: () =>
    addPlanOptions(
      new Command('sync')
        .description('make the database as declared, in one transaction')
        .option('--dry-run', 'print the SQL and write nothing, as diff does')
        .option('-y, --yes', 'do not ask before something is dropped or rows are computed anew'),
    ),

  async run(cli, _args, { dryRun = false, yes = false, ...options }: SyncFlags) {
    const { source } = await cli.open();
    const policy = planPolicy(options);
    return dryRun ? diff(source, policy) : sync(source, policy, new Consent(yes, cli.signal));
  },
};
