import { refreshMaterializedView } from '../../postgres/refresh.sql.js';
import type { Mode } from './mode.js';

/** REFRESH ... CONCURRENTLY: doesn't block readers. PostgreSQL needs a unique index and existing rows for it. */
export const concurrently: Mode = {
  name: 'concurrently',
  replacesView: false,

  accepts(conditions, { choice, withData }) {
    const isAsked = withData && (choice === 'auto' || choice === 'concurrently');
    return isAsked && conditions.is_populated && conditions.has_usable_unique_index
      ? 'unique_index'
      : undefined;
  },

  run({ definition, onViewStatement }) {
    const options = { concurrently: true, withData: true };
    const statement = refreshMaterializedView(definition.name, options);
    onViewStatement(statement);
    return Promise.resolve([statement]);
  },
};
