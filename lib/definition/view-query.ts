import { escapeLiteral } from 'pg';
import { InvalidDefinitionError } from '../errors/usage.errors.js';
import type { ViewExpression } from './materialized-view-entity.options.js';
import { placeOf, type ViewSite } from './view-site.js';

/** TypeORM's own grammar of a parameter, `:name` and `:...name`, except that casts (`::name`) are left alone. */
const PARAMETER = /(?<!:):(\.\.\.)?([A-Za-z0-9_.]+)/g;

/**
 * The SQL of a view's expression.
 *
 * @throws InvalidDefinitionError if the function fails, returns no SQL, or has a parameter that
 * can't be written as a literal
 */
export function resolveViewQuery(
  subject: string,
  expression: ViewExpression,
  site: ViewSite,
): string {
  const query = typeof expression === 'string' ? expression : buildQuery(subject, expression, site);
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
  site: ViewSite,
): string {
  const built = callBuilder(subject, build, site);
  if (typeof built === 'string') {
    return site.located(built);
  }
  const parameters: Record<string, unknown> = built.getParameters();
  // With named placeholders: getQueryAndParameters would number them, but `$1` may also occur in a literal.
  const query = built
    .getQuery()
    .replaceAll(PARAMETER, (place: string, spread: string, name: string) => {
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
  return site.located(query);
}

function callBuilder(
  subject: string,
  build: Exclude<ViewExpression, string>,
  site: ViewSite,
): string | { getQuery(): string; getParameters(): Record<string, unknown> } {
  let built: ReturnType<typeof build> | undefined;
  try {
    built = build(site.queryDataSource, placeOf(site));
  } catch (cause) {
    throw new InvalidDefinitionError(
      `${subject}: \`expression\` threw an error: ${String(cause)}.`,
      {
        cause,
        hint: 'Is every entity that it selects from in this data source? TypeORM says "Class constructor ... cannot be invoked without \'new\'" where one is not.',
      },
    );
  }
  const isText = typeof built === 'string' && built.trim() !== '';
  if (!isText && typeof (built as { getQuery?: unknown } | undefined)?.getQuery !== 'function') {
    throw new InvalidDefinitionError(
      `${subject}: expected \`expression\` to return a SELECT statement or a query builder, got ${typeof built === 'string' ? 'empty text' : typeof built}.`,
    );
  }
  return built;
}

/**
 * Quoted, whatever the type: PostgreSQL infers the type of a quoted literal from its context, as for
 * a bound parameter, which pg also sends as text. So `5` means the same here and in a query.
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
