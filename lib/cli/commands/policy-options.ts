import type { Command } from 'commander';
import type { PlanPolicy } from '../../schema/schema-options.js';
import type { CommonFlags } from '../cli-options.js';

/** Flags of the commands that make a plan. The policies among the common flags are already in the module's options. */
export interface PlanFlags extends CommonFlags {
  prune?: boolean;
  schema?: string;
}

export function addPlanOptions(command: Command): Command {
  return command
    .option(
      '--schema <name>',
      'only the views of this schema, and for a change those that read them; triggers and pg_cron jobs that nothing needs are removed in all schemas',
    )
    .option(
      '--prune',
      'also drop views that the library created for this application and that no class declares any more',
    );
}

export function planPolicy({ prune, schema }: PlanFlags): PlanPolicy {
  return { prune, schema };
}
