import type { DataSourceContext } from '../definition/data-source.context.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { SchemaSyncError } from '../errors/schema.errors.js';
import { displayName } from '../postgres/identifier.js';
import { deleteKnownView } from '../postgres/state.sql.js';
import { dropView } from '../postgres/view-ddl.sql.js';
import { sentenceCase } from '../postgres/view-kind.js';
import { removeSuperfluous } from './aspects/superfluous.js';
import type { DatabaseState } from './database-state.js';
import { dependentsLeft, refuseToDrop } from './dependents.js';
import type { DeployedView } from './deployed-view.js';
import { isManagedAs, otherHolders } from './holders.js';
import type { SchemaSynchronizer } from './schema.synchronizer.js';
import { readSteadily } from './steady-read.js';
import { inOldOrder } from './view-order.js';

/** Drops declared views, with what no other view needs, such as the triggers of their tables. */
export class ViewDropper {
  constructor(
    private readonly context: DataSourceContext,
    private readonly synchronizer: Pick<SchemaSynchronizer, 'locked'>,
  ) {}

  /** @param onHeld called for each view that stays because other applications hold it */
  async drop(
    views: readonly ViewDefinition[],
    onHeld: (others: string[], view: ViewDefinition) => void,
  ): Promise<void> {
    const { stateSchema } = this.context.options;
    const names = views.map(({ name }) => name);
    const dropped = await this.synchronizer.locked(async (session) => {
      const state = await readSteadily(session, stateSchema, names);
      const held = this.heldByOthers(views, state, onHeld);
      const own = views.filter((view) => !held.has(view));
      const deployed = own.map((view) => ({ deployed: managed(view, state) }));
      const going = inOldOrder(deployed, state)
        .map(({ deployed: each }) => each)
        .reverse();
      const dependents = dependentsLeft(going, state, new Set(own.map(viewName)));
      refuseToDrop(
        own.map(({ name }) => name),
        dependents,
        SchemaSyncError,
      );
      for (const { kind, name } of going) {
        await session.query(dropView(kind, name));
        await session.query(deleteKnownView(stateSchema, name));
      }
      await removeSuperfluous(session, this.context.options);
      return going;
    });
    for (const { kind, name } of dropped) {
      this.context.log.warn(`${sentenceCase(kind.noun)} "${displayName(name)}" was dropped`);
    }
  }

  private heldByOthers(
    views: readonly ViewDefinition[],
    state: DatabaseState,
    onHeld: (others: string[], view: ViewDefinition) => void,
  ): Set<ViewDefinition> {
    return new Set(
      views.filter((view) => {
        const isThere = managed(view, state) !== undefined;
        const known = isThere ? state.known.get(viewName(view)) : undefined;
        const others = otherHolders(known, this.context.application);
        if (others.length > 0) {
          onHeld(others, view);
        }
        return others.length > 0;
      }),
    );
  }
}

/** The existing view, unless someone has replaced it by one of another kind by hand. */
function managed(view: ViewDefinition, { views, known }: DatabaseState): DeployedView | undefined {
  const deployed = views.get(viewName(view));
  return deployed && isManagedAs(view, deployed, known.get(viewName(view))) ? deployed : undefined;
}
