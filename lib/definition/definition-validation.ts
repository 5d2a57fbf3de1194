import { InvalidDefinitionError } from '../errors/usage.errors.js';
import { getViewOptions } from './definition-metadata.accessor.js';
import { indexRules } from './index-validation.js';
import type { MaterializedViewEntityOptions } from './materialized-view-entity.options.js';
import {
  aBoolean,
  aCount,
  aFilledText,
  anIdentifier,
  aQualifiedName,
  aRelationName,
  aSchema,
  aText,
  checkOptions,
  listOf,
  notImported,
  objectOf,
  type Rule,
  storageParameters,
} from './option-rules.js';
import { refreshRules } from './refresh-validation.js';

const anExpression: Rule = (value, at) => {
  if (typeof value !== 'function' && !(typeof value === 'string' && value.trim() !== '')) {
    throw at.refuse('a SELECT statement or a function that builds one with a query builder', value);
  }
  if (typeof value === 'string') {
    aFilledText(value, at);
  }
};

const aDependency: Rule = (value, at) => {
  if (typeof value === 'string') {
    aQualifiedName(value, at);
  } else if (typeof value !== 'function' || getViewOptions(value) === undefined) {
    throw notImported(
      at,
      'a class decorated with @MaterializedViewEntity or the name of a view',
      value,
    );
  }
};

const viewRules = objectOf<MaterializedViewEntityOptions>(
  {
    name: aRelationName,
    schema: (value, at) => {
      aRelationName(value, at);
      aSchema(value, at);
    },
    expression: anExpression,
    indexes: indexRules,
    refresh: refreshRules,
    withData: aBoolean,
    storage: storageParameters,
    tablespace: anIdentifier,
    accessMethod: anIdentifier,
    comment: aText,
    dependsOn: listOf(aDependency),
    renamedFrom: aQualifiedName,
    version: aCount(1),
  },
  ['expression'],
);

/**
 * Checks the options of a decorated class.
 *
 * @throws InvalidDefinitionError naming the class, the option, what was expected and what was given
 */
export function validateViewOptions(className: string, options: unknown): void {
  const subject = `@MaterializedViewEntity of ${className}`;
  checkOptions(subject, viewRules, options, InvalidDefinitionError);
}
