import { escapeLiteral } from 'pg';
import type { DataSource } from 'typeorm';
import { InvalidDefinitionError } from '../errors/usage.errors.js';
import type { ViewExpression } from './materialized-view-entity.options.js';

/** TypeORM's own grammar of a parameter, `:name` and `:...name`, but for casts (`::name`), which it does not spare. */
const PARAMETER = /(?<!:):(\.\.\.)?([A-Za-z0-9_.]+)/g;

/**
 * The SQL of a view's expression.
 *
 * @throws InvalidDefinitionError when the function fails, gives no SQL, or has a parameter that
 *   cannot be written as a literal
 */
export function resolveViewQuery(
  subject: string,
  expression: ViewExpression,
  dataSource: DataSource,
): string {
  const query =
    typeof expression === 'string' ? expression : buildQuery(subject, expression, dataSource);
  return withoutClosingSemicolon(query);
}

/** A semicolon in the middle would end the statement, one at the end is a habit. */
function withoutClosingSemicolon(query: string): string {
  let end = query.trimEnd();
  while (end.endsWith(';')) {
    end = end.slice(0, -1).trimEnd();
  }
  return end;
}

function buildQuery(
  subject: string,
  build: Exclude<ViewExpression, string>,
  dataSource: DataSource,
): string {
  const builder = callBuilder(subject, build, dataSource);
  const parameters: Record<string, unknown> = builder.getParameters();
  // With the places still in it: getQueryAndParameters would number them, and `$1` may also stand in a literal.
  return builder.getQuery().replaceAll(PARAMETER, (place: string, spread: string, name: string) => {
    if (!Object.hasOwn(parameters, name)) {
      return place;
    }
    const value = parameters[name];
    const values: unknown[] = spread && Array.isArray(value) ? value : [value];
    if (values.length === 0) {
      throw new InvalidDefinitionError(
        `${subject}: expected the parameter \`${name}\` of \`expression\` to have elements, got an empty array.`,
      );
    }
    return values.map((each) => literal(subject, name, each)).join(', ');
  });
}

function callBuilder(
  subject: string,
  build: Exclude<ViewExpression, string>,
  dataSource: DataSource,
): { getQuery(): string; getParameters(): Record<string, unknown> } {
  let builder: ReturnType<typeof build> | undefined;
  try {
    builder = build(dataSource);
  } catch (cause) {
    throw new InvalidDefinitionError(
      `${subject}: \`expression\` threw an error: ${String(cause)}.`,
      {
        cause,
        hint: 'Is every entity that it selects from in this data source? TypeORM says "Class constructor ... cannot be invoked without \'new\'" where one is not.',
      },
    );
  }
  if (typeof builder?.getQuery !== 'function') {
    throw new InvalidDefinitionError(
      `${subject}: expected \`expression\` to return a query builder, got ${typeof builder}.`,
    );
  }
  return builder;
}

/**
 * Quoted, whatever the type: PostgreSQL infers the type of a quoted literal from its place as it does
 * for a bound parameter, which pg sends as text too. So `5` means the same here and in a query.
 */
function literal(subject: string, name: string, value: unknown): string {
  if (value === null) {
    return 'NULL';
  }
  const isScalar =
    typeof value === 'boolean' ||
    typeof value === 'bigint' ||
    (typeof value === 'number' && Number.isFinite(value)) ||
    (typeof value === 'string' && !value.includes('\0'));
  if (!isScalar) {
    throw new InvalidDefinitionError(
      `${subject}: expected the parameter \`${name}\` of \`expression\` to be a string, number, bigint, boolean, null or, as \`:...${name}\`, an array of these, got ${describe(value)}.`,
      {
        hint: 'It is written into the definition of the view, which cannot have parameters; give a date as text, in the form that the column has.',
      },
    );
  }
  return escapeLiteral(String(value));
}

function describe(value: unknown): string {
  if (typeof value === 'string') {
    return 'text with a NUL character';
  }
  return value instanceof Object ? `a ${value.constructor.name}` : String(value);
}
