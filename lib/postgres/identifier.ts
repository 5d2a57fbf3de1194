import { escapeIdentifier } from 'pg';

/**
 * PostgreSQL cuts longer names silently and lets two of them collide (NAMEDATALEN - 1):
 * https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
 */
const MAX_IDENTIFIER_BYTES = 63;

/** A relation's raw, unquoted name. */
export interface QualifiedName {
  schema: string;
  name: string;
}

/** Says what is wrong with a raw identifier; `undefined` if PostgreSQL can store it unchanged. */
export function identifierProblem(identifier: string): string | undefined {
  if (identifier === '') {
    return 'it is empty';
  }
  const problem = textProblem(identifier);
  if (problem !== undefined) {
    return `it contains ${problem}`;
  }
  const byteCount = Buffer.byteLength(identifier);
  return byteCount > MAX_IDENTIFIER_BYTES
    ? `it is ${byteCount} bytes long, and PostgreSQL keeps only ${MAX_IDENTIFIER_BYTES}`
    : undefined;
}

/**
 * Says which character of a text can't be sent to PostgreSQL: its protocol ends a text at a NUL, and half of a
 * surrogate pair has no UTF-8, so Node would send another character instead.
 */
export function textProblem(text: string): string | undefined {
  if (text.includes('\0')) {
    return 'a NUL character';
  }
  return /\p{Surrogate}/u.test(text) ? 'half of a surrogate pair' : undefined;
}

/** Whether PostgreSQL reserves this schema name. */
export function isSystemSchema(schema: string): boolean {
  return schema.startsWith('pg_') || schema === 'information_schema';
}

export function quoteIdentifier(identifier: string): string {
  return escapeIdentifier(identifier);
}

export function quoteQualifiedName({ schema, name }: QualifiedName): string {
  return `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`;
}

/** The form for messages and map keys: raw, never part of a statement. */
export function displayName({ schema, name }: QualifiedName): string {
  return `${schema}.${name}`;
}

/** Several names, for a message. */
export function displayNames(names: readonly QualifiedName[]): string {
  return names.map((name) => `"${displayName(name)}"`).join(', ');
}

/** The display name from a row that has the name in two columns. */
export function rowName(row: { schema_name: string; view_name: string }): string {
  return displayName({ schema: row.schema_name, name: row.view_name });
}

/** Several names, as two parameters of a statement. */
export function namesOf(names: readonly QualifiedName[]): [schemas: string[], names: string[]] {
  return [names.map(({ schema }) => schema), names.map(({ name }) => name)];
}

/** Whether a `schema.name`, as it is shown, is in a schema; in any if none is given. */
export function isInSchema(shown: string, schema: string | undefined): boolean {
  return schema === undefined || shown.startsWith(`${schema}.`);
}
