import { escapeIdentifier } from 'pg';

export interface Name {
  schema: string;
  name: string;
}

export const quoted = ({ schema, name }: Name): string =>
  `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`;

export const fullName = ({ schema, name }: Name): string => `${schema}.${name}`;

/** The plain view that somebody may put above a view: it has its `id` alone. */
export const plainAbove = (view: number): Name => ({
  schema: 'public',
  name: `plain above ${view}`,
});
