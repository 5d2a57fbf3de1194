import { refreshMaterializedView } from '../../postgres/refresh.sql.js';
import type { Mode } from './mode.js';

/**
 * REFRESH: blocks all readers while it runs, and works for every view. Only this mode can empty a view.
 */
export const blocking: Mode = {
  name: 'blocking',
  replacesView: false,

  accepts(conditions, { choice, withData }) {
    if (!withData) {
      return 'with_no_data';
    }
    if (choice === 'blocking') {
      return 'requested';
    }
    return conditions.is_populated ? 'no_unique_index' : 'unpopulated';
  },

  run({ definition, withData, onViewStatement }) {
    const options = { concurrently: false, withData };
    const statement = refreshMaterializedView(definition.name, options);
    onViewStatement(statement);
    return Promise.resolve([statement]);
  },
};
