import type { QualifiedName } from '../postgres/identifier.js';

/** Names have no dots of their own (TypeORM could not read such a relation), so one separates. */
export function splitName(name: string, defaultSchema: string): QualifiedName {
  const [first = '', second] = name.split('.');
  return second === undefined
    ? { schema: defaultSchema, name: first }
    : { schema: first, name: second };
}
