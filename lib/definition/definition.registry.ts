import { Injectable } from '@nestjs/common';
import { byLikeness } from '../errors/near-names.js';
import { InvalidDefinitionError, UnknownViewError } from '../errors/usage.errors.js';
import { notInitialized, unknownDataSource } from './data-source.registry.js';
import { describe } from './option-path.js';
import type { ViewClass } from './view-class.js';
import { type ViewDefinition, viewName } from './view-definition.js';

/** A view as a caller names it: its class, or `schema.name`. */
export type ViewTarget = ViewClass | string;

/** The definitions of the application, filled at boot. */
@Injectable()
export class DefinitionRegistry {
  private readonly definitions: ViewDefinition[] = [];
  private isComplete = false;

  /** @throws InvalidDefinitionError when two classes declare the same view in one data source */
  add(definition: ViewDefinition): void {
    const twin = this.definitions.find(
      (each) =>
        each.dataSourceName === definition.dataSourceName &&
        viewName(each) === viewName(definition),
    );
    if (twin === undefined) {
      this.definitions.push(definition);
    } else if (twin.target !== definition.target) {
      throw new InvalidDefinitionError(
        `@MaterializedViewEntity of ${definition.target.name}: expected its name to be unique, got "${viewName(definition)}", which ${twin.target.name} declares already in data source "${definition.dataSourceName}".`,
        { view: viewName(definition) },
      );
    }
  }

  /** To be called when the views of all data sources have been added. */
  complete(): void {
    this.isComplete = true;
  }

  all(): readonly ViewDefinition[] {
    if (!this.isComplete) {
      throw notInitialized();
    }
    return this.definitions;
  }

  /** Those of one data source. */
  in(dataSourceName: string): ViewDefinition[] {
    return this.all().filter((each) => each.dataSourceName === dataSourceName);
  }

  /**
   * Those of one data source, or of all.
   *
   * @throws UnknownViewError when there is no such data source
   */
  of(dataSourceName: string | undefined): readonly ViewDefinition[] {
    if (dataSourceName === undefined) {
      return this.all();
    }
    if (!this.dataSourceNames().includes(dataSourceName)) {
      throw unknownDataSource(dataSourceName, this.dataSourceNames());
    }
    return this.in(dataSourceName);
  }

  /** The names of the data sources that have views. */
  dataSourceNames(): string[] {
    return [...new Set(this.all().map((each) => each.dataSourceName))];
  }

  /**
   * Finds one view.
   *
   * @param dataSourceName needed only where the same class or name is registered in several
   * @throws UnknownViewError when there is none, or more than one
   * @throws NotInitializedError before the application is initialized
   */
  get(target: ViewTarget, dataSourceName?: string): ViewDefinition {
    const found = this.all().filter(
      (each) =>
        (typeof target === 'string' ? viewName(each) === target : each.target === target) &&
        (dataSourceName === undefined || each.dataSourceName === dataSourceName),
    );
    const [definition, ...others] = found;
    if (definition === undefined) {
      throw this.unknown(target, dataSourceName);
    }
    if (others.length > 0) {
      const names = found.map((each) => `"${each.dataSourceName}"`).join(' and ');
      throw new UnknownViewError(
        `Materialized view "${viewName(definition)}" is registered in the data sources ${names}.`,
        { view: viewName(definition), hint: 'Say which with the option `dataSource`.' },
      );
    }
    return definition;
  }

  private unknown(target: unknown, dataSourceName: string | undefined): UnknownViewError {
    if (dataSourceName !== undefined && !this.dataSourceNames().includes(dataSourceName)) {
      return unknownDataSource(dataSourceName, this.dataSourceNames());
    }
    const where = dataSourceName === undefined ? '' : ` in data source "${dataSourceName}"`;
    const views = dataSourceName === undefined ? this.all() : this.in(dataSourceName);
    return new UnknownViewError(`${shown(target)} is not a registered materialized view${where}.`, {
      hint: `${circleHint(target)}${registeredHint(target, views)} Pass the class to MaterializedViewsModule.forRoot({ views }) or forFeature([...]); a name is "schema.name".`,
    });
  }
}

const SHOWN_COUNT = 10;

/** The nearest names: an application may have hundreds. */
function registeredHint(target: unknown, views: readonly ViewDefinition[]): string {
  const asked = typeof target === 'function' ? target.name : String(target);
  const names = byLikeness(asked, [...new Set(views.map(viewName))]);
  const more = names.length - SHOWN_COUNT;
  const list = names.slice(0, SHOWN_COUNT).map((name) => `"${name}"`);
  return `Registered are: ${list.join(', ') || 'none'}${more > 0 ? ` and ${more} more` : ''}.`;
}

function shown(target: unknown): string {
  return typeof target === 'function' ? target.name : describe(target);
}

function circleHint(target: unknown): string {
  return target === undefined ? `A class that is undefined is imported in a circle. ` : '';
}
