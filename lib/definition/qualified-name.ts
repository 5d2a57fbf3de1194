import type { QualifiedName } from '../postgres/identifier.js';

/** Names contain no dots (TypeORM could not read such a relation), so a dot separates them. */
export function splitName(name: string, defaultSchema: string): QualifiedName {
  const [first = '', second] = name.split('.');
  return second === undefined
    ? { schema: defaultSchema, name: first }
    : { schema: first, name: second };
}
