import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { ViewRegistry } from '../definition/view.registry.js';
import type { CaptureKeeper } from '../tracking/capture.keeper.js';
import { SchemaBoot } from './schema.boot.js';
import { SchemaSynchronizer } from './schema.synchronizer.js';

/**
 * Does for views that have come since the boot what the boot does, and for them alone: what is missing is made, and nothing
 * is changed or dropped, since a newer release may have changed it while this process ran. A view whose tables are
 * missing is an error, whatever `onMissingTable` says: it is tried again.
 */
export async function bootAdded(
  context: DataSourceContext,
  captures: CaptureKeeper,
  added: readonly ViewDefinition[],
): Promise<void> {
  const { name, typeOrm, options, application, database, views, log, events, locks } = context;
  const { syncPolicy } = options;
  const synchronize = syncPolicy.synchronize === true ? 'create' : syncPolicy.synchronize;
  const own = new ViewRegistry();
  own.set(added);
  const scoped: DataSourceContext = {
    ...{ name, typeOrm, application, database, log, events, locks },
    options: {
      ...options,
      syncPolicy: {
        ...syncPolicy,
        synchronize,
        onDrift: 'continue',
        onMissingTable: 'fail',
        prune: false,
      },
    },
    views: own,
    viewsElsewhere: () => [...views.all(), ...context.viewsElsewhere()],
  };
  await new SchemaBoot(scoped, new SchemaSynchronizer(scoped), captures).boot();
}
