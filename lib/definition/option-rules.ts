import { InvalidOptionsError } from '../errors/usage.errors.js';
import { meantName } from '../errors/near-names.js';
import { isSystemSchema, identifierProblem, textProblem } from '../postgres/identifier.js';
import type { DataSourceSelector, ViewSelector } from './data-source-selector.js';
import { durationExpected, durationMs } from './duration.js';
import { OptionPath } from './option-path.js';

/** A rule for an option's value. Throws the error of `at` for any other value. */
export type Rule = (value: unknown, at: OptionPath) => void;

/** The rule for each option. */
export type Rules<Options> = { [Name in keyof Required<Options>]: Rule };

/**
 * Checks a method's arguments: an unknown value must not be taken for the default.
 *
 * @param subject the beginning of the message, as in `RefreshService.history`
 * @throws InvalidOptionsError naming the option, what was expected and what it got
 */
export function checkOptions(
  subject: string,
  rule: Rule,
  options: unknown,
  ErrorType = InvalidOptionsError,
): void {
  rule(options, new OptionPath(subject, ErrorType));
}

/** Options that may each be left out, unless `required`. */
export function objectOf<Options>(
  rules: Rules<Options>,
  required: readonly (keyof Options & string)[] = [],
): Rule {
  const known = Object.keys(rules);
  return (value, at) => {
    const options = requireObject(value, at);
    for (const name of known) {
      const given = options[name];
      if (given !== undefined || (required as readonly string[]).includes(name)) {
        rules[name as keyof Options](given, at.member(name));
      }
    }
    const unknown = Object.keys(options).find(
      (name) => options[name] !== undefined && !known.includes(name),
    );
    if (unknown !== undefined) {
      throw at.member(unknown).unknown(known, meantName(unknown, known));
    }
  };
}

function requireObject(value: unknown, at: OptionPath): Record<string, unknown> {
  // Not a Promise, a Map or an AbortSignal: none of the options would be found in them, and the defaults
  // would apply.
  if (Object.prototype.toString.call(value) !== '[object Object]') {
    throw at.refuse('an object', value);
  }
  return value as Record<string, unknown>;
}

/** An array. A hole counts as an undefined element and is not skipped. */
export function listOf(element: Rule): Rule {
  return (value, at) => {
    if (!Array.isArray(value)) {
      throw at.refuse('an array', value);
    }
    Array.from(value as unknown[]).forEach((each, position) => element(each, at.element(position)));
  };
}

/** @param expected the rule in words */
export function matching(expected: string, accepts: (value: unknown) => boolean): Rule {
  return (value, at) => {
    if (!accepts(value)) {
      throw at.refuse(expected, value);
    }
  };
}

export const aBoolean = matching('true or false', (value) => typeof value === 'boolean');
export const aFunction = matching('a function', (value) => typeof value === 'function');
export const aSignal = matching('an AbortSignal', (value) => value instanceof AbortSignal);

/** The name of one of TypeORM's data sources. The registry checks whether it exists. */
export const aDataSource = matching(
  'the name of a data source',
  (value) => typeof value === 'string' && value !== '',
);

export function oneOf(...allowed: (string | boolean)[]): Rule {
  const words = allowed.map((each) => (typeof each === 'string' ? `'${each}'` : String(each)));
  const expected = `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
  const texts = allowed.filter((each) => typeof each === 'string');
  return (value, at) => {
    if (!allowed.includes(value as string)) {
      const meant = typeof value === 'string' ? meantName(value, texts) : undefined;
      throw at.refuse(expected, value, meant && `Did you mean '${meant}'?`);
    }
  };
}

export function aCount(minimum: number, maximum = Number.MAX_SAFE_INTEGER): Rule {
  const expected =
    maximum === Number.MAX_SAFE_INTEGER
      ? `a whole number from ${minimum} on`
      : `a whole number from ${minimum} to ${maximum}`;
  return matching(
    expected,
    (value) => Number.isSafeInteger(value) && Number(value) >= minimum && Number(value) <= maximum,
  );
}

export function aDuration(minimumMs: number, maximumMs?: number): Rule {
  return matching(
    durationExpected(minimumMs, maximumMs),
    (value) => durationMs(value, minimumMs, maximumMs) !== undefined,
  );
}

export const aText: Rule = (value, at) => {
  if (typeof value !== 'string') {
    throw at.refuse('text', value);
  }
  const problem = textProblem(value);
  if (problem !== undefined) {
    throw at.refuse(`text without ${problem}`, value);
  }
};

/** For example SQL: an empty text would mean something other than it looks like. */
export const aFilledText: Rule = (value, at) => {
  if (typeof value !== 'string' || value.trim() === '') {
    throw at.refuse('text that is not empty', value);
  }
  aText(value, at);
};

export const anIdentifier: Rule = (value, at) => {
  if (typeof value !== 'string') {
    throw at.refuse('a name', value);
  }
  const problem = identifierProblem(value);
  if (problem !== undefined) {
    throw at.refuse(`a name that PostgreSQL doesn't truncate (${problem})`, value);
  }
};

/** TypeORM takes a dot in either name for the separator, and queries the wrong relation. */
export const aRelationName: Rule = (value, at) => {
  anIdentifier(value, at);
  if ((value as string).includes('.')) {
    throw at.refuse('a name without a dot, which TypeORM takes for a separator', value);
  }
};

/** A schema that an application may use. */
export const aSchema: Rule = (value, at) => {
  anIdentifier(value, at);
  if (isSystemSchema(value as string)) {
    throw at.refuse(
      'a schema of the application: PostgreSQL keeps pg_... and information_schema for itself',
      value,
    );
  }
};

/** `name` or `schema.name`. */
export const aQualifiedName: Rule = (value, at) => {
  const parts = typeof value === 'string' ? value.split('.') : [];
  if (parts.length < 1 || parts.length > 2) {
    throw at.refuse('`name` or `schema.name`', value);
  }
  parts.forEach((part) => anIdentifier(part, at));
};

/** The error for an element of a list of classes and names. */
export function notImported(at: OptionPath, expected: string, given: unknown): InvalidOptionsError {
  const hint =
    'If two files import each other, one of them gets `undefined` instead of the class: pass the name instead.';
  return at.refuse(expected, given, given === undefined ? hint : undefined);
}

/** Storage parameters or settings: `name=value` in the catalog. */
export function parameters(expected: string): Rule {
  return matching(
    expected,
    (value) =>
      Object.prototype.toString.call(value) === '[object Object]' &&
      Object.entries(value as object).every(isParameter),
  );
}

function isParameter([name, value]: [string, unknown]): boolean {
  const isValue =
    typeof value === 'boolean' ||
    (typeof value === 'number' && Number.isFinite(value)) ||
    (typeof value === 'string' && value !== '' && textProblem(value) === undefined);
  return isValue && identifierProblem(name) === undefined && !name.includes('=');
}

export const storageParameters = parameters(
  'an object of storage parameters, as in `{ fillfactor: 90 }`',
);

/** The options that name a data source and nothing else. */
export const dataSourceOptions = objectOf<DataSourceSelector>({ dataSource: aDataSource });

/** The rules for the options that say which view is meant. */
export const VIEW_RULES: Rules<ViewSelector> = { dataSource: aDataSource, schema: anIdentifier };

/** The options that say which view is meant, and nothing else. */
export const viewOptions = objectOf(VIEW_RULES);
