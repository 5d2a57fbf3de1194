import { getViewOptions } from './definition-metadata.accessor.js';
import { validateIndexes } from './index-validation.js';
import type { MaterializedViewEntityOptions } from './materialized-view-entity.options.js';
import { OptionChecks } from './option-checks.js';
import { validateRefresh } from './refresh-policy.js';

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

/**
 * Checks the options of a decorated class.
 *
 * @throws InvalidDefinitionError naming the class, the option, what was expected and what was given
 */
export function validateViewOptions(
  className: string,
  options: MaterializedViewEntityOptions,
): void {
  const checks = new OptionChecks(`@MaterializedViewEntity of ${className}`);
  checks.knownOptions('', options, VIEW_OPTIONS);
  checks.relationName('name', options.name);
  checks.relationName('schema', options.schema);
  validateExpression(checks, options.expression);
  validateRefresh(checks, options.refresh);
  validateAttributes(checks, options);
  validateDependencies(checks, options);
  validateIndexes(checks, options.indexes);
}

function validateExpression(checks: OptionChecks, expression: unknown): void {
  if (typeof expression !== 'function' && !(typeof expression === 'string' && expression.trim())) {
    throw checks.refuse(
      'expression',
      'a SELECT statement or a function that builds one with a query builder',
      expression,
    );
  }
  checks.withoutNul('expression', expression);
}

function validateAttributes(checks: OptionChecks, options: MaterializedViewEntityOptions): void {
  const { version } = options;
  checks.ofType('withData', options.withData, 'boolean');
  checks.ofType('comment', options.comment, 'string');
  checks.identifier('tablespace', options.tablespace);
  checks.identifier('accessMethod', options.accessMethod);
  checks.storage('storage', options.storage);
  if (version !== undefined && (!Number.isSafeInteger(version) || version < 1)) {
    throw checks.refuse('version', 'a whole number from 1 on', version);
  }
}

function validateDependencies(checks: OptionChecks, options: MaterializedViewEntityOptions): void {
  checks.optionalQualifiedName('renamedFrom', options.renamedFrom);
  checks.optionalList('dependsOn', options.dependsOn).forEach((view, position) => {
    const path = `dependsOn[${position}]`;
    if (view === undefined) {
      throw checks.refuse(
        path,
        'a decorated class or the name of a view (two files that import each other see one class too early: give its name then)',
        view,
      );
    }
    if (typeof view === 'string') {
      checks.qualifiedName(path, view);
    } else if (typeof view !== 'function' || getViewOptions(view) === undefined) {
      throw checks.refuse(
        path,
        'a class decorated with @MaterializedViewEntity or the name of a view',
        view,
      );
    }
  });
}
