import type { ViewIndexKey, ViewIndexOptions } from './materialized-view-entity.options.js';
import {
  aBoolean,
  aFilledText,
  anIdentifier,
  aQualifiedName,
  listOf,
  objectOf,
  oneOf,
  type Rule,
  storageParameters,
} from './option-rules.js';

const keyRules = objectOf<ViewIndexKey>({
  property: aFilledText,
  expression: aFilledText,
  collation: aQualifiedName,
  operatorClass: aQualifiedName,
  order: oneOf('ASC', 'DESC'),
  nulls: oneOf('FIRST', 'LAST'),
});

const aKey: Rule = (value, at) => {
  if (typeof value === 'string') {
    aFilledText(value, at);
    return;
  }
  keyRules(value, at);
  const { property, expression } = value as ViewIndexKey;
  if ((property === undefined) === (expression === undefined)) {
    throw at.refuse('either a `property` or an `expression`', value);
  }
};

const keys: Rule = (value, at) => {
  listOf(aKey)(value, at);
  if ((value as unknown[]).length === 0) {
    throw at.refuse('at least one property or key', value);
  }
};

/** An empty object means something for a view (all parameters are reset), but not for an index. */
const storage: Rule = (value, at) => {
  storageParameters(value, at);
  if (Object.keys(value as object).length === 0) {
    throw at.refuse('absent or to have storage parameters', value);
  }
};

const anIndex = objectOf<ViewIndexOptions>(
  {
    name: anIdentifier,
    keys,
    unique: aBoolean,
    method: anIdentifier,
    include: listOf(aFilledText),
    where: aFilledText,
    storage,
    tablespace: anIdentifier,
  },
  ['name', 'keys'],
);

/** The option `indexes`. Whether properties exist is known only with the entity's metadata. */
export const indexRules: Rule = (value, at) => {
  listOf(anIndex)(value, at);
  const names = (value as ViewIndexOptions[]).map(({ name }) => name);
  names.forEach((name, position) => {
    if (names.indexOf(name) < position) {
      throw at
        .element(position)
        .member('name')
        .refuse('different from those of the other indexes', name);
    }
  });
};
