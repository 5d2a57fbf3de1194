import { type Command, InvalidArgumentError } from 'commander';
import type { PlanPolicy } from '../../schema/schema-options.js';
import type { CommonFlags } from '../cli-options.js';

/** Flags of the commands that make a plan. The policies among the common flags are in the module's options already. */
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

/** A whole number from 1 on. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError('Expected a whole number from 1 on.');
  }
  return value;
}
