import type { ViewDefinition } from '../definition/view-definition.js';
import { viewName } from '../definition/view-definition.js';
import type { ManagedDataSource } from '../engine/managed-data-source.js';
import { meantName } from '../errors/near-names.js';
import { CommandLineUsageError } from './command-line.errors.js';

/**
 * The declared views with these names: `schema.name`, or the name alone if only one view has it.
 *
 * @throws CommandLineUsageError naming the nearest view if there is none
 */
export function viewsNamed(
  { views }: ManagedDataSource,
  names: readonly string[],
): ViewDefinition[] {
  const all = views.all();
  return names.map((name) => {
    const exact = all.find((view) => viewName(view) === name);
    const [alike, ...others] = all.filter((view) => view.name.name === name);
    if (exact !== undefined || (alike !== undefined && others.length === 0)) {
      return exact ?? (alike as ViewDefinition);
    }
    const meant = meantName(name, [...all.map(viewName), ...all.map((view) => view.name.name)]);
    throw new CommandLineUsageError(
      alike === undefined
        ? `No view "${name}" is declared among the entities of the data source.`
        : `Several views have the name "${name}": ${[alike, ...others].map(viewName).join(', ')}.`,
      { hint: meant === undefined ? undefined : `Did you mean "${meant}"?` },
    );
  });
}
