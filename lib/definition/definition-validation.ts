import { InvalidDefinitionError } from '../errors/usage.errors.js';
import { getViewOptions } from './definition-metadata.accessor.js';
import { indexRules } from './index-validation.js';
import type { MaterializedViewEntityOptions } from './materialized-view-entity.options.js';
import { OptionPath } from './option-path.js';
import type { PlainViewEntityOptions } from './plain-view-entity.options.js';
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
  oneOf,
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
      'a class decorated with @MaterializedViewEntity or @PlainViewEntity, or the name of a view',
      value,
    );
  }
};

/** A schema that can hold views. */
export const aViewSchema: Rule = (value, at) => {
  aRelationName(value, at);
  aSchema(value, at);
};

/** Names of schemas, from the option `schemas` or from its function. */
export const viewSchemas: Rule = listOf(aViewSchema);

/** For views of every kind. */
const sharedRules = {
  name: aRelationName,
  schema: aViewSchema,
  schemas: (value: unknown, at: OptionPath) => {
    if (typeof value !== 'function') {
      viewSchemas(value, at);
    }
  },
  expression: anExpression,
  comment: aText,
  dependsOn: listOf(aDependency),
  renamedFrom: aQualifiedName,
  version: aCount(1),
};

const viewRules = objectOf<MaterializedViewEntityOptions>(
  {
    ...sharedRules,
    liveView: (value, at) => (typeof value === 'boolean' ? undefined : aRelationName(value, at)),
    indexes: indexRules,
    refresh: refreshRules,
    withData: aBoolean,
    storage: storageParameters,
    tablespace: anIdentifier,
    accessMethod: anIdentifier,
  },
  ['expression'],
);

const plainViewRules = objectOf<PlainViewEntityOptions>(
  {
    ...sharedRules,
    securityInvoker: aBoolean,
    securityBarrier: aBoolean,
    checkOption: oneOf('local', 'cascaded', false),
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
  checkTogether(subject, options as MaterializedViewEntityOptions);
}

/** The same for `@PlainViewEntity`. */
export function validatePlainViewOptions(className: string, options: unknown): void {
  const subject = `@PlainViewEntity of ${className}`;
  checkOptions(subject, plainViewRules, options, InvalidDefinitionError);
  checkTogether(subject, options as PlainViewEntityOptions);
}

type SchemaOptions = Pick<
  MaterializedViewEntityOptions,
  'schema' | 'schemas' | 'expression' | 'renamedFrom'
>;

/** Options that would mean one schema although there are several. */
function checkTogether(
  subject: string,
  { schema, schemas, expression, renamedFrom }: SchemaOptions,
): void {
  if (schemas === undefined) {
    return;
  }
  const at = new OptionPath(subject, InvalidDefinitionError);
  if (schema !== undefined) {
    throw at.member('schema').refuse('absent beside `schemas`', schema);
  }
  if (typeof expression !== 'function') {
    throw at
      .member('expression')
      .refuse(
        'a function beside `schemas`, as in `(dataSource, { table }) => ...`, where `table("orders")` names the table of each schema: text would read the same tables for all',
        expression,
      );
  }
  if (renamedFrom?.includes('.')) {
    throw at.member('renamedFrom').refuse('a name without a schema beside `schemas`', renamedFrom);
  }
}
