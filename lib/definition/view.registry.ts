import { InvalidDefinitionError } from '../errors/usage.errors.js';
import { decoratorOf } from './definition-metadata.accessor.js';
import type { ViewClass } from './view-class.js';
import { type ViewDefinition, viewName } from './view-definition.js';

/** A view as a caller names it: its class, or `schema.name`. */
export type ViewTarget = ViewClass | string;

/** The views of one data source, filled when it is opened. */
export class ViewRegistry {
  private readonly definitions: ViewDefinition[] = [];

  /** @throws InvalidDefinitionError when two classes declare the same view */
  add(definition: ViewDefinition): void {
    const twin = this.find(viewName(definition));
    if (twin === undefined) {
      this.definitions.push(definition);
    } else if (twin.target !== definition.target) {
      throw new InvalidDefinitionError(
        `${decoratorOf(definition.target)}: expected its name to be unique, got "${viewName(definition)}", which ${twin.target.name} declares already in the same data source.`,
        { view: viewName(definition) },
      );
    }
  }

  /** Views of every kind. */
  all(): readonly ViewDefinition[] {
    return this.definitions;
  }

  /** Those that are refreshed. */
  materialized(): readonly ViewDefinition[] {
    return this.definitions.filter(({ kind }) => kind.storesRows);
  }

  find(target: ViewTarget): ViewDefinition | undefined {
    return this.definitions.find((each) =>
      typeof target === 'string'
        ? viewName(each) === target
        : each.target === target && !each.isLive,
    );
  }
}
