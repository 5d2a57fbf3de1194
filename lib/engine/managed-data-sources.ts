import type { Log } from '../definition/data-source.context.js';
import { describe } from '../definition/option-path.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import type { ViewTarget } from '../definition/view.registry.js';
import { byLikeness, meantName } from '../errors/near-names.js';
import {
  NotInitializedError,
  NotMaterializedError,
  UnknownViewError,
} from '../errors/usage.errors.js';
import type { ManagedDataSource } from './managed-data-source.js';

/** A view, and the data source in which it is meant. */
export interface FoundView {
  source: ManagedDataSource;
  view: ViewDefinition;
}

/** The data sources of one application. */
export class ManagedDataSources {
  private readonly sources = new Map<string, ManagedDataSource>();
  private isComplete = false;

  constructor(readonly log: Log) {}

  add(source: ManagedDataSource): void {
    this.sources.set(source.name, source);
  }

  /** To be called when all of them have been added. */
  complete(): void {
    this.isComplete = true;
  }

  /** Those that are open, also while others are being opened. */
  opened(): ManagedDataSource[] {
    return [...this.sources.values()];
  }

  /** @throws NotInitializedError before all are open */
  all(): ManagedDataSource[] {
    if (!this.isComplete) {
      throw new NotInitializedError(
        'The materialized views of the application are not registered yet: MaterializedViewsModule does that in its onModuleInit.',
        {
          hint: 'Call its services from onApplicationBootstrap on; in a test or a script, after `await app.init()`.',
        },
      );
    }
    return this.opened();
  }

  /**
   * @throws UnknownViewError when no data source of that name has views
   * @throws NotInitializedError before all are open
   */
  get(name: string): ManagedDataSource {
    const known = this.all().map((each) => each.name);
    const source = this.sources.get(name);
    if (source === undefined) {
      const meant = meantName(name, known);
      const list = known.map((each) => `"${each}"`).join(', ');
      throw new UnknownViewError(
        `No materialized view is registered in data source "${name}". Data sources with views: ${list || 'none'}.`,
        { hint: meant === undefined ? undefined : `Did you mean "${meant}"?` },
      );
    }
    return source;
  }

  /** One of them, or all where no name is given. */
  named(name: string | undefined): ManagedDataSource[] {
    return name === undefined ? this.all() : [this.get(name)];
  }

  /** The views that other data sources than this one declare. */
  viewsBeside(name: string): ViewDefinition[] {
    return this.opened()
      .filter((each) => each.name !== name)
      .flatMap((each) => each.views.all());
  }

  /**
   * Finds one view.
   *
   * @param dataSource needed only where the same class or name is registered in several
   * @throws UnknownViewError when there is none, or more than one
   * @throws NotInitializedError before all are open
   */
  find(target: ViewTarget, dataSource?: string): FoundView {
    const [found, ...others] = this.findAll(target, dataSource);
    if (found === undefined) {
      throw this.unknown(target, dataSource);
    }
    if (others.length > 0) {
      const names = [found, ...others].map(({ source }) => `"${source.name}"`).join(' and ');
      throw new UnknownViewError(
        `Materialized view "${viewName(found.view)}" is registered in the data sources ${names}.`,
        { view: viewName(found.view), hint: 'Name one with the option `dataSource`.' },
      );
    }
    return found;
  }

  /**
   * The same, for what only a view with rows of its own can do.
   *
   * @throws NotMaterializedError when it is a plain one
   */
  findMaterialized(target: ViewTarget, dataSource?: string): FoundView {
    const found = this.find(target, dataSource);
    refusePlain(found);
    return found;
  }

  /**
   * Those of a name or class in all data sources, or in one.
   *
   * @throws UnknownViewError when there is none
   * @throws NotMaterializedError when one of them is a plain one
   */
  findEveryMaterialized(target: ViewTarget, dataSource?: string): FoundView[] {
    const found = this.findAll(target, dataSource);
    if (found.length === 0) {
      throw this.unknown(target, dataSource);
    }
    found.forEach(refusePlain);
    return found;
  }

  private findAll(target: ViewTarget, dataSource: string | undefined): FoundView[] {
    return this.named(dataSource).flatMap((source): FoundView[] => {
      const view = source.views.find(target);
      return view === undefined ? [] : [{ source, view }];
    });
  }

  /**
   * The named views, or all that are refreshed, of one data source or of all.
   *
   * @throws UnknownViewError when no view is registered in `dataSource`, or one of `views` is not
   * @throws NotMaterializedError when one of `views` is a plain one
   */
  materialized(dataSource?: string, views?: readonly ViewTarget[]): FoundView[] {
    return (
      views?.map((view) => this.findMaterialized(view, dataSource)) ??
      this.named(dataSource).flatMap((source) =>
        source.views.materialized().map((view) => ({ source, view })),
      )
    );
  }

  private unknown(target: unknown, dataSource: string | undefined): UnknownViewError {
    const where = dataSource === undefined ? '' : ` in data source "${dataSource}"`;
    const views = this.named(dataSource).flatMap((source) => source.views.all());
    return new UnknownViewError(`${shown(target)} is not a registered materialized view${where}.`, {
      hint: `${circleHint(target)}${registeredHint(target, views)} Pass the class to MaterializedViewsModule.forRoot({ views }) or forFeature([...]); a name is "schema.name".`,
    });
  }
}

function refusePlain({ view: definition }: FoundView): void {
  if (!definition.kind.storesRows) {
    const view = viewName(definition);
    throw new NotMaterializedError(
      `"${view}" of ${definition.target.name} is a plain view, which has no rows of its own: there is nothing to refresh.`,
      {
        view,
        hint: 'Reads of it are always current. Pass the materialized views that read it, or declare it with @MaterializedViewEntity.',
      },
    );
  }
}

const SHOWN_COUNT = 10;

/** The nearest names: an application may have hundreds. */
function registeredHint(target: unknown, views: readonly ViewDefinition[]): string {
  const asked = typeof target === 'function' ? target.name : String(target);
  const names = byLikeness(asked, [...new Set(views.map(viewName))]);
  const more = names.length - SHOWN_COUNT;
  const list = names.slice(0, SHOWN_COUNT).map((name) => `"${name}"`);
  return `Registered views: ${list.join(', ') || 'none'}${more > 0 ? ` and ${more} more` : ''}.`;
}

function shown(target: unknown): string {
  return typeof target === 'function' ? target.name : describe(target);
}

function circleHint(target: unknown): string {
  return target === undefined ? 'An undefined class usually means a circular import. ' : '';
}
