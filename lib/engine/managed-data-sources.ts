import { inspect } from 'node:util';
import type { Log } from '../definition/data-source.context.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import type { ViewTarget } from '../definition/view.registry.js';
import { UnknownViewError } from '../errors/usage.errors.js';
import type { ManagedDataSource } from './managed-data-source.js';

/** A view, and the data source in which it is meant. */
export interface FoundView {
  source: ManagedDataSource;
  view: ViewDefinition;
}

/** The data sources of one application. */
export class ManagedDataSources {
  private readonly sources = new Map<string, ManagedDataSource>();

  constructor(readonly log: Log) {}

  add(source: ManagedDataSource): void {
    this.sources.set(source.name, source);
  }

  all(): ManagedDataSource[] {
    return [...this.sources.values()];
  }

  /** @throws UnknownViewError when no data source of that name has views */
  get(name: string): ManagedDataSource {
    const source = this.sources.get(name);
    if (source === undefined) {
      const known = this.all().map((each) => `"${each.name}"`);
      throw new UnknownViewError(`No materialized view is registered in data source "${name}".`, {
        hint: `Data sources with views are: ${known.join(', ') || 'none'}.`,
      });
    }
    return source;
  }

  /** One of them, or all where no name is given. */
  named(name: string | undefined): ManagedDataSource[] {
    return name === undefined ? this.all() : [this.get(name)];
  }

  /** The views that other data sources than this one declare. */
  viewsBeside(source: ManagedDataSource['name']): ViewDefinition[] {
    return this.all()
      .filter((each) => each.name !== source)
      .flatMap((each) => each.views.all());
  }

  /**
   * Finds one view.
   *
   * @param dataSource needed only where the same class or name is registered in several
   * @throws UnknownViewError when there is none, or more than one
   */
  find(target: ViewTarget, dataSource?: string): FoundView {
    const [found, ...others] = this.all()
      .filter(({ name }) => dataSource === undefined || name === dataSource)
      .flatMap((source): FoundView[] => {
        const view = source.views.find(target);
        return view === undefined ? [] : [{ source, view }];
      });
    if (found === undefined) {
      throw this.unknown(target, dataSource);
    }
    if (others.length > 0) {
      const names = [found, ...others].map(({ source }) => `"${source.name}"`).join(' and ');
      throw new UnknownViewError(
        `Materialized view "${viewName(found.view)}" is registered in the data sources ${names}.`,
        { view: viewName(found.view), hint: 'Say which with the option `dataSource`.' },
      );
    }
    return found;
  }

  private unknown(target: ViewTarget, dataSource: string | undefined): UnknownViewError {
    const asked = typeof target === 'function' ? target.name : inspect(target);
    const views = this.all()
      .filter(({ name }) => dataSource === undefined || name === dataSource)
      .flatMap((source) => source.views.all().map((each) => `"${viewName(each)}"`));
    const where = dataSource === undefined ? '' : ` in data source "${dataSource}"`;
    return new UnknownViewError(`${asked} is not a registered materialized view${where}.`, {
      hint: `${target === undefined ? 'A class that is undefined is imported in a circle. ' : ''}Registered are${where}: ${views.join(', ') || 'none'}. Pass the class to MaterializedViewsModule.forRoot({ views }) or forFeature([...]); a name is "schema.name".`,
    });
  }
}
