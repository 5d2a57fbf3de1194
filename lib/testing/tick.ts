import type { INestApplicationContext } from '@nestjs/common';
import type { ViewSelector } from '../definition/data-source-selector.js';
import { checkOptions, viewOptions } from '../definition/option-rules.js';
import { viewName } from '../definition/view-definition.js';
import type { ViewTarget } from '../definition/view.registry.js';
import { ManagedDataSources } from '../engine/managed-data-sources.js';
import { InvalidOptionsError } from '../errors/usage.errors.js';
import { tickRequest } from '../refresh/occasions.js';
import type { RefreshResult } from '../refresh/refresh-result.js';

/**
 * Does now what happens at a scheduled time of the view, so that a test need not wait for one. It skips a paused view,
 * and an unchanged one with `skipUnchanged`. It works with `scheduling: false` too. In the database it counts as a tick
 * at this moment.
 *
 * @param app the application, or the testing module
 * @throws UnknownViewError if no such view is registered
 * @throws InvalidOptionsError if the view has no `refresh.cron`
 * @throws RefreshError or a subclass, if the refresh fails
 */
export async function tick(
  app: INestApplicationContext,
  view: ViewTarget,
  options: ViewSelector = {},
): Promise<RefreshResult> {
  checkOptions('tick', viewOptions, options);
  const sources = app.get(ManagedDataSources, { strict: false });
  const { source, view: definition } = sources.findMaterialized(view, options);
  if (definition.schedule === undefined) {
    throw new InvalidOptionsError(
      `tick: expected "${viewName(definition)}" to have a schedule, got a view without \`refresh.cron\`.`,
      { view: viewName(definition) },
    );
  }
  const attempt = (at: Date): Promise<RefreshResult> =>
    source.refresher.runner.run(tickRequest(definition, at));
  const result = await attempt(new Date());
  // The database's clock decides, and may be behind.
  return result.outcome === 'skipped' && result.reason === 'tick_early'
    ? attempt(result.startedAt)
    : result;
}
