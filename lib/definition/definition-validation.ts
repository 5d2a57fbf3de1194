import { InvalidDefinitionError } from '../errors/usage.errors.js';
import { identifierProblem } from '../postgres/identifier.js';
import { cronProblem } from './cron-grid.js';
import type {
  MaterializedViewEntityOptions,
  ViewIndexKey,
  ViewIndexOptions,
  ViewRefreshOptions,
} from './materialized-view-entity.options.js';

const VIEW_OPTIONS = [
  'name',
  'schema',
  'expression',
  'indexes',
  'refresh',
  'withData',
  'storage',
  'tablespace',
  'accessMethod',
  'comment',
  'dependsOn',
  'renamedFrom',
  'version',
];
const REFRESH_OPTIONS = ['cron', 'timeZone'];
const INDEX_OPTIONS = [
  'name',
  'keys',
  'unique',
  'method',
  'include',
  'where',
  'storage',
  'tablespace',
];
const KEY_OPTIONS = ['property', 'expression', 'collation', 'operatorClass', 'order', 'nulls'];

export const DEFAULT_TIME_ZONE = 'UTC';

/**
 * Checks the options of a decorated class.
 *
 * @throws InvalidDefinitionError naming the class, the option, what was expected and what was given
 */
export function validateViewOptions(
  className: string,
  options: MaterializedViewEntityOptions,
): void {
  new DefinitionValidator(className).view(options);
}

class DefinitionValidator {
  constructor(private readonly className: string) {}

  view(options: MaterializedViewEntityOptions): void {
    this.knownOptions('', options, VIEW_OPTIONS);
    this.relationName('name', options.name);
    this.relationName('schema', options.schema);
    this.expression(options.expression);
    if (options.refresh !== undefined) {
      this.refresh(options.refresh);
    }
    this.attributes(options);
    this.list('indexes', options.indexes ?? []).forEach((index, position) => {
      this.index(`indexes[${position}]`, index as ViewIndexOptions);
    });
  }

  private attributes(options: MaterializedViewEntityOptions): void {
    const { withData, comment, renamedFrom, version } = options;
    this.ofType('withData', withData, 'boolean');
    this.ofType('comment', comment, 'string');
    this.ofType('renamedFrom', renamedFrom, 'string');
    this.optionalIdentifier('tablespace', options.tablespace);
    this.optionalIdentifier('accessMethod', options.accessMethod);
    this.storage('storage', options.storage);
    this.list('dependsOn', options.dependsOn ?? []);
    if (version !== undefined && (!Number.isSafeInteger(version) || version < 1)) {
      throw this.refuse('version', 'a whole number from 1 on', version);
    }
  }

  private storage(path: string, storage: unknown): void {
    if (storage !== undefined && (typeof storage !== 'object' || storage === null)) {
      throw this.refuse(path, 'an object of storage parameters', storage);
    }
  }

  private ofType(path: string, value: unknown, type: 'boolean' | 'string'): void {
    if (value !== undefined && typeof value !== type) {
      throw this.refuse(path, `a ${type}`, value);
    }
  }

  private expression(expression: unknown): void {
    if (
      typeof expression !== 'function' &&
      !(typeof expression === 'string' && expression.trim())
    ) {
      throw this.refuse(
        'expression',
        'a SELECT statement or a function that builds one with a query builder',
        expression,
      );
    }
  }

  private refresh(refresh: ViewRefreshOptions): void {
    this.knownOptions('refresh.', refresh, REFRESH_OPTIONS);
    const { cron, timeZone = DEFAULT_TIME_ZONE } = refresh;
    if (typeof timeZone !== 'string') {
      throw this.refuse('refresh.timeZone', 'the name of an IANA time zone', timeZone);
    }
    if (typeof cron !== 'string') {
      throw this.refuse('refresh.cron', 'a cron expression', cron);
    }
    const problem = cronProblem(cron, timeZone);
    if (problem !== undefined) {
      const isTimeZone = problem.startsWith(`"${timeZone}"`);
      throw isTimeZone
        ? this.refuse('refresh.timeZone', `an IANA time zone (${problem})`, timeZone)
        : this.refuse('refresh.cron', `a cron expression of 5 or 6 fields (${problem})`, cron);
    }
  }

  private index(path: string, index: ViewIndexOptions): void {
    this.knownOptions(`${path}.`, index, INDEX_OPTIONS);
    if (index.name === undefined) {
      throw this.refuse(`${path}.name`, 'the name of an index', index.name);
    }
    this.optionalIdentifier(`${path}.name`, index.name);
    this.optionalIdentifier(`${path}.method`, index.method);
    this.optionalIdentifier(`${path}.tablespace`, index.tablespace);
    this.ofType(`${path}.unique`, index.unique, 'boolean');
    this.ofType(`${path}.where`, index.where, 'string');
    this.storage(`${path}.storage`, index.storage);
    this.list(`${path}.include`, index.include ?? []);
    const keys = this.list(`${path}.keys`, index.keys);
    if (keys.length === 0) {
      throw this.refuse(`${path}.keys`, 'at least one property or key', index.keys);
    }
    keys.forEach((key, position) => {
      this.indexKey(`${path}.keys[${position}]`, key as string | ViewIndexKey);
    });
  }

  private indexKey(path: string, key: string | ViewIndexKey): void {
    if (typeof key === 'string') {
      return;
    }
    this.knownOptions(`${path}.`, key, KEY_OPTIONS);
    if ((key.property === undefined) === (key.expression === undefined)) {
      throw this.refuse(path, 'either a `property` or an `expression`', key);
    }
    this.oneOf(`${path}.order`, key.order, ['ASC', 'DESC']);
    this.oneOf(`${path}.nulls`, key.nulls, ['FIRST', 'LAST']);
  }

  private oneOf(path: string, value: unknown, allowed: string[]): void {
    if (value !== undefined && !allowed.includes(value as string)) {
      throw this.refuse(path, allowed.map((each) => `'${each}'`).join(' or '), value);
    }
  }

  private list(path: string, value: unknown): unknown[] {
    if (!Array.isArray(value)) {
      throw this.refuse(path, 'an array', value);
    }
    return value;
  }

  private knownOptions(prefix: string, options: unknown, known: string[]): void {
    if (typeof options !== 'object' || options === null) {
      throw this.refuse(prefix.slice(0, -1) || 'options', 'an object', options);
    }
    const unknown = Object.keys(options).find((name) => !known.includes(name));
    if (unknown !== undefined) {
      throw this.refuse(
        `${prefix}${unknown}`,
        `absent: the options are ${known.join(', ')}`,
        'an unknown option',
      );
    }
  }

  private optionalIdentifier(path: string, value: unknown): void {
    if (value === undefined) {
      return;
    }
    const problem = typeof value === 'string' ? identifierProblem(value) : 'it is not a string';
    if (problem !== undefined) {
      throw this.refuse(path, `a name that PostgreSQL keeps whole (${problem})`, value);
    }
  }

  /** TypeORM takes a dot in either for the one between them, and asks for the wrong relation. */
  private relationName(path: string, value: unknown): void {
    this.optionalIdentifier(path, value);
    if (typeof value === 'string' && value.includes('.')) {
      throw this.refuse(path, 'a name without a dot, which TypeORM takes for a separator', value);
    }
  }

  private refuse(option: string, expected: string, given: unknown): InvalidDefinitionError {
    return new InvalidDefinitionError(
      `@MaterializedViewEntity of ${this.className}: expected \`${option}\` to be ${expected}, got ${describe(given)}.`,
    );
  }
}

function describe(value: unknown): string {
  return typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint'
    ? String(value)
    : (JSON.stringify(value) ?? 'undefined');
}
