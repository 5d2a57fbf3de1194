import { inspect } from 'node:util';
import { InvalidDefinitionError } from '../errors/usage.errors.js';
import { identifierProblem } from '../postgres/identifier.js';

/** Checks of the options of one view, all with the same kind of error. */
export class OptionChecks {
  /** @param subject what a message begins with */
  constructor(private readonly subject: string) {}

  refuse(option: string, expected: string, given: unknown): InvalidDefinitionError {
    return new InvalidDefinitionError(
      `${this.subject}: expected \`${option}\` to be ${expected}, got ${describe(given)}.`,
    );
  }

  /** @param prefix the path of the options, with a dot behind it, or nothing */
  knownOptions(prefix: string, options: unknown, known: string[]): void {
    if (typeof options !== 'object' || options === null || Array.isArray(options)) {
      throw this.refuse(prefix.slice(0, -1) || 'options', 'an object', options);
    }
    const unknown = Object.keys(options).find((name) => !known.includes(name));
    if (unknown !== undefined) {
      throw this.refuse(
        `${prefix}${unknown}`,
        `absent: the options are ${known.join(', ')}`,
        UNKNOWN_OPTION,
      );
    }
  }

  ofType(path: string, value: unknown, type: 'boolean' | 'string'): void {
    if (value !== undefined && typeof value !== type) {
      throw this.refuse(path, type === 'string' ? 'text' : 'true or false', value);
    }
    this.withoutNul(path, value);
  }

  /** SQL, for example: an empty piece of it would mean something else than what it looks like. */
  nonEmptyText(path: string, value: unknown): void {
    if (value !== undefined && !(typeof value === 'string' && value.trim() !== '')) {
      throw this.refuse(path, 'text that is not empty', value);
    }
    this.withoutNul(path, value);
  }

  /** PostgreSQL's protocol ends a statement there. */
  withoutNul(path: string, value: unknown): void {
    if (typeof value === 'string' && value.includes('\0')) {
      throw this.refuse(path, 'text without a NUL character', value);
    }
  }

  oneOf(path: string, value: unknown, allowed: string[]): void {
    if (value !== undefined && !allowed.includes(value as string)) {
      throw this.refuse(path, allowed.map((each) => `'${each}'`).join(' or '), value);
    }
  }

  /** The elements; a hole of the array is one that is undefined, and not passed over. */
  list(path: string, value: unknown): unknown[] {
    if (!Array.isArray(value)) {
      throw this.refuse(path, 'an array', value);
    }
    return Array.from(value as unknown[]);
  }

  /** None when the option is left out. */
  optionalList(path: string, value: unknown): unknown[] {
    return value === undefined ? [] : this.list(path, value);
  }

  identifier(path: string, value: unknown): void {
    if (value === undefined) {
      return;
    }
    const problem = typeof value === 'string' ? identifierProblem(value) : 'it is not a string';
    if (problem !== undefined) {
      throw this.refuse(path, `a name that PostgreSQL keeps whole (${problem})`, value);
    }
  }

  /** TypeORM takes a dot in either for the one between them, and asks for the wrong relation. */
  relationName(path: string, value: unknown): void {
    this.identifier(path, value);
    if (typeof value === 'string' && value.includes('.')) {
      throw this.refuse(path, 'a name without a dot, which TypeORM takes for a separator', value);
    }
  }

  /** `name` or `schema.name`. */
  qualifiedName(path: string, value: unknown): void {
    const parts = typeof value === 'string' ? value.split('.') : [];
    if (parts.length < 1 || parts.length > 2) {
      throw this.refuse(path, '`name` or `schema.name`', value);
    }
    parts.forEach((part) => this.identifier(path, part));
  }

  /** An operator class or collation, with or without its schema. */
  optionalQualifiedName(path: string, value: unknown): void {
    if (value !== undefined) {
      this.qualifiedName(path, value);
    }
  }

  storage(path: string, storage: unknown): void {
    if (storage === undefined) {
      return;
    }
    const isObject = typeof storage === 'object' && storage !== null && !Array.isArray(storage);
    if (!isObject || !Object.entries(storage).every(isStorageParameter)) {
      throw this.refuse(
        path,
        'an object of storage parameters, as in `{ fillfactor: 90 }`',
        storage,
      );
    }
  }
}

/** The catalog has them as `name=value`. */
function isStorageParameter([name, value]: [string, unknown]): boolean {
  const isValue =
    typeof value === 'boolean' ||
    (typeof value === 'number' && Number.isFinite(value)) ||
    (typeof value === 'string' && value !== '' && !value.includes('\0'));
  return isValue && identifierProblem(name) === undefined && !name.includes('=');
}

const UNKNOWN_OPTION = Symbol('an unknown option');

function describe(value: unknown): string {
  if (value === UNKNOWN_OPTION) {
    return 'an unknown option';
  }
  return typeof value === 'string'
    ? JSON.stringify(value)
    : inspect(value, { breakLength: Infinity });
}
