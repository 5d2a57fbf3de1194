import type { DataSourceContext } from '../definition/data-source.context.js';
import type { SyncPolicy } from '../definition/module.options.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { ViewRegistry } from '../definition/view.registry.js';

/** The data source as if only the given views were declared. They are created if missing; nothing is changed or dropped. */
export function contextOfNew(
  context: DataSourceContext,
  added: readonly ViewDefinition[],
  policy: SyncPolicy,
): DataSourceContext {
  const { options } = context;
  const synchronize = policy.synchronize === true ? 'create' : policy.synchronize;
  return {
    ...contextOfSome(context, added),
    options: {
      ...options,
      syncPolicy: {
        ...policy,
        ...{ synchronize, onDrift: 'continue', prune: false },
      },
    },
  };
}

/** The data source as if only the given views were declared there, and the others elsewhere. */
export function contextOfSome(
  context: DataSourceContext,
  some: readonly ViewDefinition[],
): DataSourceContext {
  const { name, typeOrm, options, application, database, views, log, events, locks } = context;
  const own = new ViewRegistry();
  own.set(some);
  return {
    ...{ name, typeOrm, options, application, database, log, events, locks },
    views: own,
    viewsElsewhere: () => [...views.all(), ...context.viewsElsewhere()],
  };
}
