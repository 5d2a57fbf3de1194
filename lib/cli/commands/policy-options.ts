import type { Command } from 'commander';
import type { PlanPolicy } from '../../schema/schema-options.js';
import type { CommonFlags } from '../cli-options.js';

/** Flags of the commands that make a plan. The policies among the common flags are already in the module's options. */
export interface PlanFlags extends CommonFlags {
  prune?: boolean;
}

export function addPlanOptions(command: Command): Command {
  return command.option(
    '--prune',
    'also drop views that the library created for this application and that no class declares any more',
  );
}

export function planPolicy({ prune }: PlanFlags): PlanPolicy {
  return { prune };
}
