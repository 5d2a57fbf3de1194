import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import type { CaptureKeeper } from '../tracking/capture.keeper.js';
import { SchemaBoot } from './schema.boot.js';
import { SchemaSynchronizer } from './schema.synchronizer.js';
import { contextOfNew } from './scoped-context.js';

/**
 * Does for views added since the boot what the boot does, and only for them: it creates what is missing, and changes and
 * drops nothing, because a newer release may have changed it while this process ran. A missing table is an error, whatever
 * `onMissingTable` says, and is tried again.
 */
export async function bootAdded(
  context: DataSourceContext,
  captures: CaptureKeeper,
  added: readonly ViewDefinition[],
): Promise<void> {
  const scoped = contextOfNew(context, added, {
    ...context.options.syncPolicy,
    onMissingTable: 'fail',
  });
  await new SchemaBoot(scoped, new SchemaSynchronizer(scoped), captures).boot();
}
