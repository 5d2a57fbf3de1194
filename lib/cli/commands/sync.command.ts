import { Command } from 'commander';
import type { CliCommand } from '../cli-command.js';
import { Consent } from '../consent.js';
import { diff, sync } from '../sync.js';
import { addPlanOptions, type PlanFlags, planPolicy } from './policy-options.js';

interface SyncFlags extends PlanFlags {
  dryRun?: boolean;
  yes?: boolean;
}

/** Makes the database match the code. */
export const syncCommand: CliCommand = {
  define: () =>
    addPlanOptions(
      new Command('sync')
        .description('bring the database in line with the code')
        .option('--dry-run', 'only print the SQL, like diff')
        .option('-y, --yes', "don't ask before views are dropped or rebuilt"),
    ),

  async run(cli, _args, { dryRun = false, yes = false, ...options }: SyncFlags) {
    const { source } = await cli.open();
    const policy = planPolicy(options);
    return dryRun ? diff(source, policy) : sync(source, policy, new Consent(yes, cli.signal));
  },
};
