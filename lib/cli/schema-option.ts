import { Option } from 'commander';

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
