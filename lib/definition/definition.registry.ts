import { Injectable } from '@nestjs/common';
import { inspect } from 'node:util';
import { InvalidDefinitionError, UnknownViewError } from '../errors/usage.errors.js';
import type { ViewClass } from './view-class.js';
import { type ViewDefinition, viewName } from './view-definition.js';

/** A view as a caller names it: its class, or `schema.name`. */
export type ViewTarget = ViewClass | string;

/** The definitions of the application, filled at boot. */
@Injectable()
export class DefinitionRegistry {
  private readonly definitions: ViewDefinition[] = [];

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

  all(): readonly ViewDefinition[] {
    return this.definitions;
  }

  /** Those of one data source. */
  in(dataSourceName: string): ViewDefinition[] {
    return this.definitions.filter((each) => each.dataSourceName === dataSourceName);
  }

  /** The names of the data sources that have views. */
  dataSourceNames(): string[] {
    return [...new Set(this.definitions.map((each) => each.dataSourceName))];
  }

  /**
   * Finds one view.
   *
   * @param dataSourceName needed only where the same class or name is registered in several
   * @throws UnknownViewError when there is none, or more than one
   */
  get(target: ViewTarget, dataSourceName?: string): ViewDefinition {
    const found = this.definitions.filter(
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

  private unknown(target: ViewTarget, dataSourceName: string | undefined): UnknownViewError {
    const asked = typeof target === 'function' ? target.name : inspect(target);
    const isThere = (each: ViewDefinition): boolean =>
      dataSourceName === undefined || each.dataSourceName === dataSourceName;
    const views = this.definitions.filter(isThere).map((each) => `"${viewName(each)}"`);
    const where = dataSourceName === undefined ? '' : ` in data source "${dataSourceName}"`;
    return new UnknownViewError(`${asked} is not a registered materialized view${where}.`, {
      hint: `${target === undefined ? 'A class that is undefined is imported in a circle. ' : ''}Registered are${where}: ${views.join(', ') || 'none'}. Pass the class to MaterializedViewsModule.forRoot({ views }) or forFeature([...]); a name is "schema.name".`,
    });
  }
}
