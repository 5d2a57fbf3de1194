import { escapeIdentifier } from 'pg';

export interface Name {
  schema: string;
  name: string;
}

export const quoted = ({ schema, name }: Name): string =>
  `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`;

export const fullName = ({ schema, name }: Name): string => `${schema}.${name}`;

/** The plain view that somebody may create on top of a view, with only its `id`. */
export const plainAbove = (view: number): Name => ({
  schema: 'public',
  name: `plain above ${view}`,
});
