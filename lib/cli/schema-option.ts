import { Option } from 'commander';
import type { ViewDefinition } from '../definition/view-definition.js';
import { CommandLineUsageError } from './command-line.errors.js';

/** The flag of commands that accept view names. */
export interface SchemaFlag {
  schema?: string;
}

export const schemaOption = (): Option =>
  new Option(
    '--schema <name>',
    'the schema of views that are named without one; without names, only views of this schema',
  );

/** The names, with the flag's schema added if they have none. */
export function inSchemaOf(names: readonly string[], { schema }: SchemaFlag): string[] {
  return names.map((name) =>
    schema === undefined || name.includes('.') ? name : `${schema}.${name}`,
  );
}

/**
 * The declared views of the schema of the flag, or all where there is no flag.
 *
 * @throws CommandLineUsageError when there are none in it
 */
export function viewsIn(
  views: readonly ViewDefinition[],
  { schema }: SchemaFlag,
): readonly ViewDefinition[] {
  const found = views.filter(({ name }) => schema === undefined || name.schema === schema);
  if (schema !== undefined && found.length === 0) {
    throw new CommandLineUsageError(`No view is declared in schema "${schema}".`);
  }
  return found;
}
