import type { DataSourceContext } from '../definition/data-source.context.js';
import type { SyncPolicy } from '../definition/module.options.js';
import { allowsCreation } from '../definition/policy-rights.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { SchemaSyncError } from '../errors/schema.errors.js';
import { displayName } from '../postgres/identifier.js';
import { isOutOfLocks } from '../postgres/lock-attempts.js';
import { MaterializedViewError } from '../errors/materialized-view.error.js';
import type { DatabaseState } from './database-state.js';
import { SchemaSynchronizer } from './schema.synchronizer.js';
import { contextOfNew } from './scoped-context.js';
import type { ViewReport } from './sync-report.js';

/** How many times smaller the next batch is after one that needed too many locks. */
const SHRINKING = 4;

/** How an error ends whose transaction was rolled back. */
const NOTHING_CHANGED = 'Nothing has been changed.';

interface BatchingOptions {
  context: DataSourceContext;
  /** What may be created. */
  policy: SyncPolicy;
  synchronizer: SchemaSynchronizer;
}

/**
 * Creates missing views in batches if the server has no room for the locks of all changes at once. Each batch is one
 * transaction, like a synchronisation of only these views: each exists with everything that belongs to it, or not at all.
 * The rest (views that fail, or depend on a change still to come) is left to a synchronisation of everything.
 *
 * The order by what queries read is not known, because that would mean trying all queries at once. So a view whose query
 * lacks another view is tried again after the others.
 */
export class BatchedCreation {
  private readonly made = new Map<string, ViewReport>();
  private size: number;

  private constructor(
    private readonly context: DataSourceContext,
    private readonly policy: SyncPolicy,
    private readonly missing: readonly ViewDefinition[],
  ) {
    this.size = smaller(missing.length);
  }

  /**
   * @param state the current state of the database
   * @returns the reports of the created views, by name
   */
  private static of(
    context: DataSourceContext,
    policy: SyncPolicy,
    state: DatabaseState,
  ): BatchedCreation {
    const isNew = (view: ViewDefinition): boolean =>
      view.renamedFrom === undefined && !state.relations.has(viewName(view));
    const missing = allowsCreation(policy)
      ? inDeclaredOrder(context.views.all()).filter(isNew)
      : [];
    return new BatchedCreation(context, policy, missing);
  }

  /**
   * Runs work that makes all changes at once. If the server has no room for all locks, new views come first, in batches.
   *
   * @param work gets the reports of the views that were created, by name
   */
  static async before<T>(
    { context, policy, synchronizer }: BatchingOptions,
    work: (made: ReadonlyMap<string, ViewReport>) => Promise<T>,
  ): Promise<T> {
    try {
      return await work(new Map());
    } catch (error) {
      if (!hadNoRoom(error)) {
        throw error;
      }
      const creation = BatchedCreation.of(context, policy, await synchronizer.read());
      if (creation.missing.length <= 1) {
        throw error;
      }
      return creation.followedBy(work, error);
    }
  }

  /** @param refusal why not everything could be done at once */
  private async followedBy<T>(
    work: (made: ReadonlyMap<string, ViewReport>) => Promise<T>,
    refusal: unknown,
  ): Promise<T> {
    const { name, log } = this.context;
    log.warn(
      `The server has no room for the locks of all changes to data source "${name}" at once (\`max_locks_per_transaction\`): its ${this.missing.length} new views are made in batches. Those of one batch stay, whatever becomes of the next.`,
    );
    try {
      await this.makeAll();
      if (this.made.size === 0) {
        throw refusal;
      }
      return await work(this.made);
    } catch (error) {
      throw this.withMade(error);
    }
  }

  /** An error says that nothing has been changed, which is true of its batch only. */
  private withMade(error: unknown): unknown {
    if (this.made.size > 0 && error instanceof MaterializedViewError) {
      error.message = `${error.message.replace(NOTHING_CHANGED, '').trimEnd()} ${this.made.size} of ${this.missing.length} new views exist by now, made in batches, and stay. Nothing else has been changed; the next boot or sync goes on with the rest.`;
    }
    return error;
  }

  private async makeAll(): Promise<void> {
    for (let left = this.missing; left.length > 0;) {
      const before = left.length;
      left = await this.makeOnce(left);
      if (left.length === before) {
        return;
      }
    }
  }

  /** @returns those that could not be made yet */
  private async makeOnce(views: readonly ViewDefinition[]): Promise<ViewDefinition[]> {
    const next = [...views];
    const left: ViewDefinition[] = [];
    while (next.length > 0) {
      const batch = next.splice(0, this.size);
      try {
        await this.make(batch);
        left.push(...batch.filter((view) => !this.made.has(viewName(view))));
      } catch (error) {
        if (!hadNoRoom(error) || batch.length === 1) {
          throw error;
        }
        next.unshift(...batch);
        this.size = smaller(batch.length);
      }
    }
    return left;
  }

  private async make(batch: readonly ViewDefinition[]): Promise<void> {
    const views = this.withoutWaiting(batch);
    if (views.length === 0) {
      return;
    }
    const scoped: DataSourceContext = {
      ...contextOfNew(this.context, views, { ...this.policy, onMissingTable: 'skip' }),
      // The synchronisation of everything reports each view.
      events: { publish: () => undefined },
    };
    const { report } = await new SchemaSynchronizer(scoped).carryOut(scoped.options.syncPolicy);
    for (const each of report.views.filter(({ outcome }) => outcome !== 'skipped')) {
      this.made.set(each.view, each);
    }
  }

  /** Without those that name a view in `dependsOn` that is still missing: a function that reads it would fail. */
  private withoutWaiting(batch: readonly ViewDefinition[]): ViewDefinition[] {
    const missing = new Set(this.missing.map(viewName).filter((name) => !this.made.has(name)));
    const taken: ViewDefinition[] = [];
    for (const view of batch) {
      if (!view.dependsOn.map(displayName).some((name) => missing.has(name))) {
        missing.delete(viewName(view));
        taken.push(view);
      }
    }
    return taken;
  }
}

/** Whether a synchronisation failed because it needed more locks than the server has room for. */
function hadNoRoom(error: unknown): boolean {
  return error instanceof SchemaSyncError && isOutOfLocks(error.cause);
}

function smaller(size: number): number {
  return Math.max(1, Math.ceil(size / SHRINKING));
}

/** Each after the views that it names in `dependsOn`, as far as that can be. */
function inDeclaredOrder(views: readonly ViewDefinition[]): ViewDefinition[] {
  const byName = new Map(views.map((view) => [viewName(view), view]));
  const ordered = new Set<ViewDefinition>();
  const seen = new Set<ViewDefinition>();
  const visit = (view: ViewDefinition): void => {
    if (!seen.has(view)) {
      seen.add(view);
      view.dependsOn.flatMap((name) => byName.get(displayName(name)) ?? []).forEach(visit);
      ordered.add(view);
    }
  };
  views.forEach(visit);
  return [...ordered];
}
