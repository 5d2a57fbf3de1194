import type { ManagedDataSource } from '../engine/managed-data-source.js';
import { viewName } from '../definition/view-definition.js';
import type { CommandResult } from './cli-command.js';
import type { Consent } from './consent.js';
import { viewsNamed } from './views-named.js';
import { CommandLineUsageError } from './command-line.errors.js';

/** Drops declared views, the upper ones first. Their history stays. */
export async function drop(
  source: ManagedDataSource,
  names: readonly string[],
  { isAll, schema, consent }: { isAll: boolean; schema?: string; consent: Consent },
): Promise<CommandResult> {
  if (isAll === names.length > 0) {
    throw new CommandLineUsageError('Expected the names of views, or --all.');
  }
  const all = source.views.all();
  const ofSchema = all.filter(({ name }) => schema === undefined || name.schema === schema);
  const views = isAll ? ofSchema : viewsNamed(source, names);
  if (views.length === 0 && schema !== undefined) {
    throw new CommandLineUsageError(`No view is declared in schema "${schema}".`);
  }
  const dropped = views.map(viewName);
  await consent.require(
    `These views are dropped, materialized ones with their rows:\n${dropped.map((name) => `  ${name}`).join('\n')}`,
  );
  if (isAll && schema === undefined) {
    await source.schema.dropAll();
  } else {
    const order = await source.schema.order();
    const places = new Map(views.map((view) => [view, order.indexOf(viewName(view))]));
    const above = [...views].sort(
      (one, other) => (places.get(other) ?? 0) - (places.get(one) ?? 0),
    );
    for (const view of above) {
      await source.schema.drop(view);
    }
  }
  return { text: dropped.map((name) => `dropped  ${name}`).join('\n'), json: { dropped } };
}
