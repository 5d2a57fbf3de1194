import type { ManagedDataSource } from '../engine/managed-data-source.js';
import type { PlanPolicy } from '../schema/schema-options.js';
import type { CommandResult } from './cli-command.js';
import type { Consent } from './consent.js';
import { grave, planDocument, planText } from './plan-text.js';

const READ_TIMEOUT_MS = 30_000;

/** What would run. It writes nothing, but locks views that differ for some milliseconds. */
export async function diff(source: ManagedDataSource, policy: PlanPolicy): Promise<CommandResult> {
  const plan = await source.schema.plan(policy);
  return { text: planText(plan), json: planDocument(plan) };
}

/**
 * Makes the database match the code, in one transaction if the server has room for its locks.
 *
 * @param consent asked before something is dropped or rows are recomputed
 */
export async function sync(
  source: ManagedDataSource,
  policy: PlanPolicy,
  consent: Consent,
): Promise<CommandResult> {
  const report = await source.schema.sync(policy, async (plan) => {
    const views = await source.catalog.inspect(undefined, READ_TIMEOUT_MS);
    const steps = grave(plan, new Set(views.map(({ view }) => view)));
    if (steps.length > 0) {
      const list = steps.map(({ action, view, reason }) => `  ${action} ${view ?? ''}: ${reason}`);
      await consent.require(`These steps drop or rebuild views:\n${list.join('\n')}`);
    }
  });
  const done = report.views.filter(({ outcome }) => outcome !== 'unchanged');
  const lines = done.map(({ view, outcome, reason }) =>
    [`${outcome.padEnd(9)} ${view}`, ...(reason === undefined ? [] : [reason])].join(': '),
  );
  return {
    text: lines.length === 0 ? 'Nothing to do: the database matches the code.' : lines.join('\n'),
    json: report,
  };
}
