import type { Log } from '../definition/data-source.context.js';
import type { ViewSelector } from '../definition/data-source-selector.js';
import { getViewOptions } from '../definition/definition-metadata.accessor.js';
import { describe } from '../definition/option-path.js';
import type { ViewClass } from '../definition/view-class.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import type { ViewTarget } from '../definition/view.registry.js';
import { byLikeness, meantName } from '../errors/near-names.js';
import {
  NotInitializedError,
  NotMaterializedError,
  UnknownViewError,
} from '../errors/usage.errors.js';
import type { ManagedDataSource } from './managed-data-source.js';

/** A view, and its data source. */
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

  /** Call it when all of them have been added. */
  complete(): void {
    this.isComplete = true;
  }

  /** The open ones, even while others are being opened. */
  opened(): ManagedDataSource[] {
    return [...this.sources.values()];
  }

  /** @throws NotInitializedError if not all are open yet */
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
   * @throws UnknownViewError if no data source with that name has views
   * @throws NotInitializedError if not all are open yet
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

  /** The one with the given name, or all if no name is given. */
  named(name: string | undefined): ManagedDataSource[] {
    return name === undefined ? this.all() : [this.get(name)];
  }

  /** The views that other data sources declare. */
  viewsBeside(name: string): ViewDefinition[] {
    return this.opened()
      .filter((each) => each.name !== name)
      .flatMap((each) => each.views.all());
  }

  /**
   * Finds one view.
   *
   * @throws UnknownViewError if there is none or more than one, or no schema is given for a class with `schemas`
   * @throws NotInitializedError if not all are open yet
   */
  find(target: ViewTarget, selector: ViewSelector = {}): FoundView {
    refuseWithoutSchema(target, selector);
    const [found, ...others] = this.findAll(target, selector);
    if (found === undefined) {
      throw this.unknown(target, selector);
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
   * The same, for what only a materialized view can do.
   *
   * @throws NotMaterializedError if it is a plain one
   */
  findMaterialized(target: ViewTarget, selector: ViewSelector = {}): FoundView {
    return materializedOne(this.find(target, selector));
  }

  /**
   * The named views, or all materialized ones. A class with `schemas` stands for its views in all of them, or in `schema`.
   *
   * @throws UnknownViewError if no view is registered in the data source, or one of `views` is not
   * @throws NotMaterializedError if one of `views` is a plain one
   */
  materialized({ dataSource, schema }: ViewSelector, views?: readonly ViewTarget[]): FoundView[] {
    if (views !== undefined) {
      return views.flatMap((view) =>
        hasSchemas(view)
          ? this.findEveryMaterialized(view, { dataSource, schema })
          : [this.findMaterialized(view, { dataSource })],
      );
    }
    const found = this.named(dataSource).flatMap((source) =>
      source.views
        .materialized()
        .filter(({ name }) => schema === undefined || name.schema === schema)
        .map((view) => ({ source, view })),
    );
    if (schema !== undefined && found.length === 0) {
      throw new UnknownViewError(`No materialized view is registered in schema "${schema}".`, {
        hint: NEW_SCHEMA,
      });
    }
    return found;
  }

  /**
   * The data sources that have the class among their entities, even if it has no views yet; all if no class is
   * given.
   *
   * @throws UnknownViewError if there is none
   */
  declaring(view: ViewClass | undefined, dataSource?: string): ManagedDataSource[] {
    const found = this.named(dataSource).filter(
      ({ typeOrm }) => view === undefined || (getViewOptions(view) && typeOrm.hasMetadata(view)),
    );
    if (found.length === 0) {
      throw this.unknown(view, { dataSource });
    }
    return found;
  }

  /**
   * The views of a name or class, in all data sources or in one. `schema` applies to classes with `schemas`; without it
   * they stand for all their views.
   *
   * @throws UnknownViewError if there is none
   * @throws NotMaterializedError if one of them is a plain one
   */
  findEveryMaterialized(target: ViewTarget, selector: ViewSelector): FoundView[] {
    const { dataSource, schema } = selector;
    const isOfMany = hasSchemas(target);
    const found = this.findAll(target, isOfMany ? { dataSource, schema } : { dataSource });
    // A class with `schemas` may have none yet.
    if (found.length === 0 && (!isOfMany || schema !== undefined)) {
      throw this.unknown(target, selector);
    }
    return found.map(materializedOne);
  }

  private findAll(target: ViewTarget, { dataSource, schema }: ViewSelector): FoundView[] {
    return this.named(dataSource).flatMap((source) =>
      source.views
        .find(target)
        .filter(({ name }) => schema === undefined || name.schema === schema)
        .map((view) => ({ source, view })),
    );
  }

  private unknown(target: unknown, { dataSource, schema }: ViewSelector): UnknownViewError {
    const where = [
      ...(schema === undefined ? [] : [` in schema "${schema}"`]),
      ...(dataSource === undefined ? [] : [` in data source "${dataSource}"`]),
    ].join('');
    const views = this.named(dataSource).flatMap((source) => source.views.all());
    const advice = hasSchemas(target)
      ? NEW_SCHEMA
      : 'Pass the class to MaterializedViewsModule.forRoot({ views }) or forFeature([...]); a name is "schema.name".';
    return new UnknownViewError(`${shown(target)} is not a registered materialized view${where}.`, {
      hint: `${circleHint(target)}${registeredHint(target, views)} ${advice}`,
    });
  }
}

function materializedOne(found: FoundView): FoundView {
  const { view: definition } = found;
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
  return found;
}

/** Whether it is a class with a view in each of several schemas, even if it has only one so far. */
function hasSchemas(target: unknown): boolean {
  return typeof target === 'function' && getViewOptions(target)?.schemas !== undefined;
}

/**
 * Even if it has one schema so far: code written for one schema must not refresh another once there are two.
 */
function refuseWithoutSchema(target: ViewTarget, { schema }: ViewSelector): void {
  if (schema === undefined && hasSchemas(target)) {
    throw new UnknownViewError(
      `${shown(target)} has a view in each of its \`schemas\`, and the call names no schema.`,
      {
        hint: 'Say which with the option `schema`, or name the view as "schema.name".',
      },
    );
  }
}

const NEW_SCHEMA =
  'A process learns of a new schema by SchemaService.sync, or within `sweepInterval`.';

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
