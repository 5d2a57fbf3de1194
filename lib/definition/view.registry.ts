import { InvalidDefinitionError } from '../errors/usage.errors.js';
import { decoratorOf } from './definition-metadata.accessor.js';
import type { ViewClass } from './view-class.js';
import { type ViewDefinition, viewName } from './view-definition.js';

/** A view as a caller names it: its class, or `schema.name`. */
export type ViewTarget = ViewClass | string;

/** The views of one data source: those that it was opened with, and those of schemas added since. */
export class ViewRegistry {
  private byName: ReadonlyMap<string, ViewDefinition> = new Map();

  /**
   * Replaces its views with these. A view that stays is the same object as before.
   *
   * @throws InvalidDefinitionError if two classes declare the same view; nothing is changed
   */
  set(definitions: readonly ViewDefinition[]): void {
    const next = new Map<string, ViewDefinition>();
    for (const definition of definitions) {
      const name = viewName(definition);
      const twin = next.get(name);
      if (twin !== undefined && twin.target !== definition.target) {
        throw new InvalidDefinitionError(
          `${decoratorOf(definition.target)}: expected its name to be unique, got "${name}", which ${twin.target.name} declares already in the same data source.`,
          { view: name },
        );
      }
      next.set(name, twin ?? this.byName.get(name) ?? definition);
    }
    this.byName = next;
  }

  /** Views of every kind. */
  all(): readonly ViewDefinition[] {
    return [...this.byName.values()];
  }

  /** Those that are refreshed. */
  materialized(): readonly ViewDefinition[] {
    return this.all().filter(({ kind }) => kind.storesRows);
  }

  /** The view named `schema.name`. */
  named(name: string): ViewDefinition | undefined {
    return this.byName.get(name);
  }

  /**
   * The view with a name, or the views of a class, which may have one in each of several schemas.
   */
  find(target: ViewTarget): readonly ViewDefinition[] {
    if (typeof target === 'string') {
      const view = this.named(target);
      return view === undefined ? [] : [view];
    }
    return this.all().filter((each) => each.target === target && !each.isLive);
  }
}
